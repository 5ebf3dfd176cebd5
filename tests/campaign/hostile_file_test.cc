// Files made to cost time or memory are refused at once. Each parse is held to a limit of processor
// time far above what it takes (under half a second), and far below what growth beyond linear
// would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "absl/strings/str_cat.h"
#include "common/campaign/campaign.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

std::string Repeated(absl::string_view text, size_t bytes = 1'000'000) {
  std::string out;
  while (out.size() + text.size() <= bytes) {
    out.append(text.data(), text.size());
  }
  return out;
}

std::string Refusal(const std::string& text) {
  const std::clock_t start = std::clock();
  const absl::Status status = ParseCampaign(text, "f").status();
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_LT(status.message().size(), 100'000u);
  return std::string(status.message());
}

TEST(HostileFile, LargerThanTheLimit) {
  EXPECT_EQ(Refusal(std::string(kMaxCampaignFileBytes + 1, '#')),
            "f:1:1: has 1048577 bytes; at most 1048576 are allowed");
}

TEST(HostileFile, DeepNesting) {
  EXPECT_EQ(Refusal(Repeated("- ")), "f:1:41: nested more than 20 levels deep");
  EXPECT_EQ(Refusal(Repeated("[", 1000) + Repeated("]", 1000)),
            "f:1:21: nested more than 20 levels deep");
  for (const char* opening : {"[", "{a: ", "[{", "? ", "- [", "'", "\"", "a: |\n"}) {
    EXPECT_NE(Refusal(Repeated(opening)), "") << opening;
  }
}

TEST(HostileFile, TwentyLevelsAreRead) {
  EXPECT_THAT(Refusal(std::string(20, '[') + std::string(20, ']')), HasSubstr("found a list"));
  EXPECT_THAT(Refusal(std::string(21, '[') + std::string(21, ']')), HasSubstr("20 levels"));
}

TEST(HostileFile, BillionLaughs) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    absl::StrAppend(&text, "a", i, ": &a", i, " [", Repeated(absl::StrCat("*a", i - 1, ", "), 50),
                    "]\n");
  }
  EXPECT_EQ(Refusal(text), "f:1:5: anchors ('&name') are not supported; write the value out");
}

TEST(HostileFile, HugeScalars) {
  EXPECT_THAT(Refusal("name: " + Repeated("x")),
              HasSubstr("name: has 1000000 characters; at most 64 are allowed"));
  EXPECT_THAT(Refusal("name: \"" + Repeated("\\x1b") + "\""), HasSubstr("characters; at most 64"));
  EXPECT_THAT(Refusal("seed: " + Repeated("9")), HasSubstr("seed: expected an integer"));
  EXPECT_THAT(Refusal("ber: 1e" + Repeated("9")), HasSubstr("ber: expected a finite number"));
  EXPECT_THAT(Refusal("ber: 0." + Repeated("1") + "\ntrials: x"), HasSubstr("trials: expected"));
}

TEST(HostileFile, ManyFields) {
  std::string fields;
  std::string long_fields;
  for (int i = 0; i < 40'000; ++i) {
    absl::StrAppend(&fields, "k", i, ": 1\n");
    if (i < 5000) {
      absl::StrAppend(&long_fields, "trials", std::string(180, 'x'), i, ": 1\n");
    }
  }
  EXPECT_THAT(Refusal(fields), HasSubstr("more problems"));
  EXPECT_THAT(Refusal(long_fields), HasSubstr("more problems"));
  EXPECT_THAT(Refusal(Repeated("a: 1\n", 300'000)), HasSubstr("given twice"));
}

TEST(HostileFile, ManyValues) {
  EXPECT_THAT(Refusal("ber: [" + Repeated("1e-9,") + "]"), HasSubstr("more than 100000 values"));
  EXPECT_THAT(Refusal("ber: [" + Repeated("1e-9,", 60'000) + "]"),
              HasSubstr("ber: has 12000 items; at most 10000 are allowed"));
}

TEST(HostileFile, HugeListsOfFaults) {
  const std::string base = "name: n\nmodels: [m]\ndataset: d\nfault: {kind: list, faults: ";
  EXPECT_THAT(Refusal(base + "\"tensor,index,bit" + Repeated("\\na,0,0", 900'000) + "\"}\n"),
              HasSubstr("fault.faults: has "));
  EXPECT_THAT(Refusal(base + "\"tensor,index,bit" + Repeated("\\na,0,0", 500'000) + "\"}\n"),
              HasSubstr("line 3: repeats the bit of line 2"));
  EXPECT_THAT(Refusal(base + "\"tensor,index,bit\\n" + Repeated("a,", 500'000) + "\"}\n"),
              HasSubstr("fields; expected three"));
  EXPECT_THAT(Refusal(base + "\"tensor,index,bit\\na,0," + Repeated("9", 500'000) + "\"}\n"),
              HasSubstr("is not a whole number from 0 to 31"));
}

TEST(HostileFile, LongestListOfFaultsResolvesToAReadableCampaign) {
  std::string text = "name: n\nmodels: [m]\ndataset: d\nfault: {kind: list, faults: \"";
  std::string csv = "tensor,index,bit\n";
  for (int i = 0; csv.size() + 20 < 512 * 1024; ++i) {
    absl::StrAppend(&csv, "w,", i, ",0\n");
  }
  for (const char c : csv) {
    absl::StrAppend(&text, c == '\n' ? "\\n" : std::string(1, c));
  }
  const absl::StatusOr<Campaign> campaign = ParseCampaign(text + "\"}\n", "f");
  ASSERT_TRUE(campaign.ok()) << campaign.status().message().substr(0, 1000);
  const absl::StatusOr<Campaign> again = ParseCampaign(ToJson(*campaign), "again");
  ASSERT_TRUE(again.ok()) << again.status().message().substr(0, 1000);
  EXPECT_EQ(again->faults[0].list.size(), campaign->faults[0].list.size());
}

TEST(HostileFile, GridsThatResolveToMoreThanAFileMayHold) {
  std::string text = "name: n\nmodels: [m]\ndataset: d\nber: 0\ngranularities:\n";
  for (int i = 0; i < 60; ++i) {
    absl::StrAppend(&text, "- block: {blocks: [", i,
                    "], ber: {from: 1e-10, to: 1, per_decade: 999}}\n");
  }
  EXPECT_THAT(Refusal(text), HasSubstr("with its grids and defaults written out it has"));
}

TEST(HostileFile, Patterns) {
  std::string many = "name: n\nmodels: [m]\ndataset: d\nber: 0\nsurface: {include: [";
  for (int i = 0; i < 64; ++i) {
    absl::StrAppend(&many, "'", i, "((a{900}){900}){900}', ");
  }
  EXPECT_THAT(Refusal(many + "]}\n"), HasSubstr("is not a regular expression (RE2)"));
  // As large as they may be, many times over.
  std::string large = "name: n\nmodels: [m]\ndataset: d\nber: 0\ngranularities:\n";
  for (int i = 0; i < 63; ++i) {
    absl::StrAppend(&large, "- regex: {match: '((.{10}){10}){9}", i, "'}\n");
  }
  absl::StrAppend(&large, "- block: {bits: [31]}\nformats: [fp32");
  for (int bits = 2; bits <= 32; ++bits) {
    absl::StrAppend(&large, ", fixed(1.", bits - 1, ")");
  }
  EXPECT_THAT(Refusal(large + "]\n"), HasSubstr("granularities[63]: no bit 31 in fixed(1.1)"));
  EXPECT_THAT(Refusal("surface: {include: ['" + std::string(1000, '(') + "']}\n"),
              HasSubstr("is not a regular expression (RE2)"));
  EXPECT_THAT(Refusal("surface: {include: ['" + Repeated("(") + "']}\n"),
              HasSubstr("at most 1000 are allowed"));
}

TEST(HostileFile, Binary) {
  EXPECT_THAT(Refusal(std::string("name: a\0b", 9)), HasSubstr("f:1:8: not text"));
  std::string all_bytes;
  for (int i = 0; i < 100'000; ++i) {
    all_bytes.push_back(static_cast<char>(i * 167));
  }
  EXPECT_THAT(Refusal(all_bytes), HasSubstr("not text"));
  EXPECT_THAT(Refusal(std::string("\xFF\xFEn\0a\0", 6)), HasSubstr("not text"));
}

// To yaml-cpp, byte 4 is the end of the file: what follows would go unread.
TEST(HostileFile, EndOfTransmission) {
  EXPECT_THAT(Refusal("name: a\nmodels: [m]\ndataset: d\nber: 1e-6\n\x04trials: 3\n"),
              HasSubstr("f:5:1: not text"));
}

TEST(HostileFile, DirectivesTagsAndComments) {
  for (const char* text : {"%YAML 1.2\n", "%TAG ! x\n", "!a ", "&a ", "*a ", "#\n", "---\n",
                           "...\n", " ", "\n", "\t", ":", ": ", "]", ",", "-", "<<: {}\n"}) {
    EXPECT_NE(Refusal(Repeated(text, 200'000)), "") << text;
  }
}

}  // namespace
}  // namespace bitquake
