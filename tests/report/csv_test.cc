#include "common/report/csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "common/report/results.h"

namespace bitquake {
namespace {

TEST(Csv, QuotesOnlyWhereNeeded) {
  EXPECT_EQ(CsvField("vit_base.augreg-21k"), "vit_base.augreg-21k");
  EXPECT_EQ(CsvField(""), "");
  EXPECT_EQ(CsvField("a,b"), "\"a,b\"");
  EXPECT_EQ(CsvField("say \"x\""), "\"say \"\"x\"\"\"");
  EXPECT_EQ(CsvField("a\nb"), "\"a\nb\"");
  EXPECT_EQ(CsvField("a\rb"), "\"a\rb\"");
}

TEST(Csv, RowsEndWithALineFeed) {
  std::string out;
  AppendCsvRow({"a", "", "b,c"}, &out);
  AppendCsvRow({"d"}, &out);
  EXPECT_EQ(out, "a,,\"b,c\"\nd\n");
}

TEST(FormatNumber, IsShort) {
  EXPECT_EQ(FormatNumber(0), "0");
  EXPECT_EQ(FormatNumber(-0.0), "0");
  EXPECT_EQ(FormatNumber(100), "100");
  EXPECT_EQ(FormatNumber(1e15), "1000000000000000");
  EXPECT_EQ(FormatNumber(-3), "-3");
  EXPECT_EQ(FormatNumber(84.31), "84.31");
  EXPECT_EQ(FormatNumber(0.1), "0.1");
  EXPECT_EQ(FormatNumber(1e-6), "1e-06");
  EXPECT_EQ(FormatNumber(3.16227766e-9), "3.16227766e-09");
  EXPECT_EQ(FormatNumber(1e300), "1e+300");
}

TEST(FormatNumber, UndefinedIsEmpty) {
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::quiet_NaN()), "");
}

TEST(FormatNumber, ReadsBackAsTheSameDouble) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const double value =
        std::ldexp(static_cast<double>(random()) - 9e18, static_cast<int>(random() % 400) - 263);
    EXPECT_EQ(std::strtod(FormatNumber(value).c_str(), nullptr), value);
  }
}

}  // namespace
}  // namespace bitquake
