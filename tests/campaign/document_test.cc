#include "common/campaign/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

Node Parsed(absl::string_view text) {
  Problems problems;
  const std::optional<Node> node = ParseDocument(text, &problems);
  EXPECT_TRUE(node.has_value() && problems.empty()) << problems.ToStatus("f");
  return node.value_or(Node());
}

TEST(Document, KnowsWhereEachValueStands) {
  const Node root = Parsed("a: 1\nlist:\n  - x\n  - {b: [2, 3]}\n");
  EXPECT_EQ(root.members[1].at.line, 2);
  EXPECT_EQ(root.members[1].at.column, 1);
  const Node& inner = root.Find("list")->items[1].Find("b")->items[1];
  EXPECT_EQ(inner.at.line, 4);
  EXPECT_EQ(inner.at.column, 13);
}

TEST(Document, ResolvesPlainScalarsByTheCoreSchema) {
  using Kind = Node::Kind;
  const std::pair<const char*, Kind> cases[] = {
      {"~", Kind::kNull},         {"null", Kind::kNull},    {"true", Kind::kBool},
      {"FALSE", Kind::kBool},     {"yes", Kind::kText},     {"off", Kind::kText},
      {"12", Kind::kInteger},     {"-0", Kind::kInteger},   {"+3", Kind::kInteger},
      {"1e3", Kind::kInteger},    {"0x1F", Kind::kInteger}, {"0o17", Kind::kInteger},
      {"1e-9", Kind::kNumber},    {".5", Kind::kNumber},    {"1.", Kind::kInteger},
      {"1.5E+2", Kind::kInteger}, {".nan", Kind::kNumber},  {"-.INF", Kind::kNumber},
      {"nan", Kind::kText},       {"1e", Kind::kText},      {"1_000", Kind::kText},
      {"--1", Kind::kText},       {".", Kind::kText},       {"0x", Kind::kText},
      {"1e5x", Kind::kText},      {"1.2.3", Kind::kText},   {"e5", Kind::kText}};
  for (const auto& [text, kind] : cases) {
    EXPECT_EQ(ResolvePlainScalar(text).kind, kind) << text;
  }
}

TEST(Document, NumbersKeepTheirValue) {
  EXPECT_EQ(ResolvePlainScalar("18446744073709551615").value, 18446744073709551615u);
  EXPECT_EQ(ResolvePlainScalar("-9223372036854775808").value, INT64_MIN);
  EXPECT_EQ(ResolvePlainScalar("1e18").value, 1000000000000000000u);
  EXPECT_EQ(ResolvePlainScalar("1e3").value.dump(), "1000");
  EXPECT_EQ(ResolvePlainScalar("0x1f").value, 31u);
  EXPECT_EQ(ResolvePlainScalar("0o17").value, 15u);
  EXPECT_EQ(ResolvePlainScalar("3.16227766e-9").value, 3.16227766e-9);
  EXPECT_TRUE(ResolvePlainScalar("1e999").value.is_null());
}

TEST(Document, QuotedScalarsAreText) {
  const Node root = Parsed("{a: '12', b: \"true\", c: \"\", d: '~'}");
  for (const Member& member : root.members) {
    EXPECT_EQ(member.value.kind, Node::Kind::kText) << member.key;
  }
}

TEST(Document, DuplicateKeysAreFoundAtEveryLevel) {
  Problems problems;
  ParseDocument("a: 1\nb: {c: 1, c: 2}\na: 3\n", &problems);
  EXPECT_EQ(problems.ToStatus("f.yaml").message(),
            "f.yaml:2:11: field 'c' is given twice; leave one out\nf.yaml:3:1: field 'a' is given "
            "twice; leave one out");
}

TEST(Document, AcceptsByteOrderMarkAndLineEndsOfWindows) {
  const Node root = Parsed(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: x\r\n");
  EXPECT_EQ(root.Find("a")->value, 1u);
  EXPECT_EQ(root.Find("b")->value, "x");
}

TEST(Document, ProblemsAreSortedAndLimited) {
  Problems problems;
  for (int line = kMaxProblemsShown + 7; line > 0; --line) {
    problems.Add({line, 1}, "p");
  }
  const std::string message(problems.ToStatus("f").message());
  EXPECT_THAT(message, testing::StartsWith("f:8:1: p\nf:9:1: p\n"));
  EXPECT_THAT(message, testing::EndsWith("\nf: and 7 more problems"));
}

TEST(Document, FindsBytesThatAreNotText) {
  EXPECT_EQ(FindUnprintable("ab\n\xC3\xA9\t\r\n"), std::nullopt);
  for (const char* bad : {"a\n\x04", "a\n\xFF", "a\n\xC3", "a\n\xC0\x80", "a\n\xED\xA0\x80",
                          "a\n\xF4\x90\x80\x80", "a\n\xE0\x80\x80", "a\n\xC2\x9B", "a\n\x7F"}) {
    const std::optional<Position> at = FindUnprintable(bad);
    ASSERT_TRUE(at.has_value());
    EXPECT_EQ(at->line, 2);
    EXPECT_EQ(at->column, 1);
  }
}

}  // namespace
}  // namespace bitquake
