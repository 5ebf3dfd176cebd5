#include "worker/data/natural_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace bitquake {
namespace {

// As sorted(..., key=timm.utils.misc.natural_key) gives them.
const std::vector<std::string> kOrdered = {
    "",         "0",    "1",        "2",   "10",        "18446744073709551617",
    "-",        "a",    "A0/x",     "a0b", "a1",        "A1-x",
    "a1.jpg",   "A1/b", "a2",       "a10", "a10b2",     "a10b10",
    "A/b",      "a/B1", "a_",       "ab",  "N01440764", "n01443537",
    "n2000000", "z",    "\xc3\xa9",
};

TEST(NaturalOrder, IsThatOfTimm) {
  for (size_t i = 0; i < kOrdered.size(); ++i) {
    for (size_t j = 0; j < kOrdered.size(); ++j) {
      const int order = CompareNaturally(kOrdered[i], kOrdered[j]);
      EXPECT_EQ(order < 0, i < j) << kOrdered[i] << " and " << kOrdered[j];
      EXPECT_EQ(order > 0, i > j) << kOrdered[i] << " and " << kOrdered[j];
    }
  }
}

TEST(NaturalOrder, TellsNeitherCaseNorLeadingZeros) {
  EXPECT_EQ(CompareNaturally("a1", "A01"), 0);
  EXPECT_EQ(CompareNaturally("x0", "x000"), 0);
  EXPECT_EQ(CompareNaturally("0x", "00X"), 0);
}

TEST(NaturalOrder, IsThatOfBytesForImagenetsClasses) {
  std::mt19937 random(1);
  std::vector<std::string> classes;
  for (int i = 0; i < 1000; ++i) {
    classes.push_back("n" + std::to_string(100000000 + random() % 90000000).replace(0, 1, "0"));
  }
  std::vector<std::string> naturally = classes;
  std::sort(classes.begin(), classes.end());
  std::sort(naturally.begin(), naturally.end(),
            [](const auto& a, const auto& b) { return CompareNaturally(a, b) < 0; });
  EXPECT_EQ(naturally, classes);
}

}  // namespace
}  // namespace bitquake
