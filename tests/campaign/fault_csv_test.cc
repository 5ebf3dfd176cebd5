#include "common/campaign/fault_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

constexpr char kHeader[] = "tensor,index,bit\n";

std::string ErrorOf(const std::string& csv) {
  return std::string(ParseFaultCsv(csv).status().message());
}

TEST(FaultCsv, ReadsLinesInTheirOrder) {
  const auto list =
      ParseFaultCsv(absl::StrCat(kHeader, "b.weight,9223372036854775807,31\na,0,0\n"));
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].tensor, "b.weight");
  EXPECT_EQ((*list)[0].index, INT64_MAX);
  EXPECT_EQ((*list)[0].bit, 31);
  EXPECT_EQ((*list)[1].tensor, "a");
  EXPECT_EQ(ToFaultCsv(*list), absl::StrCat(kHeader, "b.weight,9223372036854775807,31\na,0,0\n"));
}

TEST(FaultCsv, LineEndsMayBeOfEitherKindAndTheLastMayMiss) {
  const std::string plain = ToFaultCsv(*ParseFaultCsv(absl::StrCat(kHeader, "a,1,2\nb,3,4\n")));
  for (const char* csv :
       {"tensor,index,bit\r\na,1,2\r\nb,3,4\r\n", "tensor,index,bit\na,1,2\nb,3,4"}) {
    const auto list = ParseFaultCsv(csv);
    ASSERT_TRUE(list.ok()) << list.status();
    EXPECT_EQ(ToFaultCsv(*list), plain);
  }
}

TEST(FaultCsv, ErrorsNameTheLine) {
  EXPECT_EQ(ErrorOf(""), "line 1: expected the header tensor,index,bit, found ''");
  EXPECT_THAT(ErrorOf("Tensor,index,bit\na,1,2"), HasSubstr("line 1: expected the header"));
  EXPECT_THAT(ErrorOf(kHeader), HasSubstr("line 1: lists no fault"));
  const auto second = [](const std::string& line) {
    return ErrorOf(absl::StrCat(kHeader, "ok,0,0\n", line, "\nok,1,0\n"));
  };
  EXPECT_EQ(second(""), "line 3: '' has 1 fields; expected three, tensor,index,bit");
  EXPECT_THAT(second("a,1"), HasSubstr("line 3: 'a,1' has 2 fields"));
  EXPECT_THAT(second("a,1,2,3"), HasSubstr("line 3: 'a,1,2,3' has 4 fields"));
  EXPECT_THAT(second(",1,2"), HasSubstr("line 3: '' is not a tensor's name"));
  EXPECT_THAT(second("\"a\",1,2"), HasSubstr("without quotes"));
  EXPECT_THAT(second("a\\b,1,2"), HasSubstr("is not a tensor's name"));
  EXPECT_THAT(second("a\x01,1,2"), HasSubstr("is not a tensor's name"));
  EXPECT_THAT(second("a\xFF,1,2"), HasSubstr("is not a tensor's name"));
  for (const char* index : {"-1", "1.5", "", " 1", "0x1", "1e3", "9223372036854775808"}) {
    EXPECT_THAT(second(absl::StrCat("a,", index, ",2")), HasSubstr("line 3: index '")) << index;
  }
  for (const char* bit : {"32", "-1", "", "x", "7 "}) {
    EXPECT_THAT(second(absl::StrCat("a,1,", bit)), HasSubstr("line 3: bit '")) << bit;
  }
  EXPECT_EQ(second("ok,00,0"), "line 3: repeats the bit of line 2");
}

TEST(FaultCsv, LongFilesAreRefused) {
  EXPECT_THAT(ErrorOf(std::string(kMaxFaultCsvBytes + 1, 'a')),
              HasSubstr("has 524289 bytes; at most 524288 are allowed"));
}

TEST(FaultCsv, PatternTakesWhatTheParserTakes) {
  // Wide, since the pattern has ranges beyond ASCII.
  const std::string narrow = FaultCsvPattern();
  const std::wregex pattern(std::wstring(narrow.begin(), narrow.end()));
  for (const std::string csv :
       {"", "tensor,index,bit\n", "tensor,index,bit\na,1,2\n", "tensor,index,bit\r\na,1,2\r\n",
        "tensor,index,bit\na,1,32", "tensor,index,bit\na,1,2\n\n", "tensor,index,bit\na,1,2,3",
        "tensor,index,bit\na,-1,2", "tensor,index,bit\n,1,2", "tensor,index,bit\na,07,031",
        "tensor,index,bit\n\"a\",1,2", "tensor,index,bit\na,1,2\nb,3,4", "x"}) {
    EXPECT_EQ(std::regex_match(std::wstring(csv.begin(), csv.end()), pattern),
              ParseFaultCsv(csv).ok())
        << csv;
  }
}

}  // namespace
}  // namespace bitquake
