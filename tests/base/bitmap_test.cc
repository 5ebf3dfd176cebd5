#include "common/base/bitmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace bitquake {
namespace {

using testing::HasSubstr;

TEST(Bitmap, TheFirstItemIsTheLeastSignificantBitOfTheFirstByte) {
  Bitmap bitmap(11);
  for (const int item : {0, 3, 10}) {
    bitmap.Set(item);
  }
  EXPECT_EQ(bitmap.bytes(), "\x09\x04");
  EXPECT_EQ(bitmap.Count(), 3);
}

TEST(Bitmap, HasWhatWasSetAndComesBackFromItsBytes) {
  std::mt19937 random(1);
  for (const int items : {0, 1, 7, 8, 9, 64, 201}) {
    Bitmap bitmap(items);
    std::vector<bool> expected(items);
    int64_t ones = 0;
    for (int i = 0; i < items; ++i) {
      if (random() % 2 == 0) {
        bitmap.Set(i);
        expected[i] = true;
        ++ones;
      }
    }
    const auto back = Bitmap::FromBytes(items, bitmap.bytes());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, bitmap);
    EXPECT_EQ(back->Count(), ones);
    for (int i = 0; i < items; ++i) {
      EXPECT_EQ(back->Get(i), expected[i]) << i << " of " << items;
    }
  }
}

TEST(Bitmap, BytesThatAreNotThoseOfSoManyItemsAreRefused) {
  EXPECT_THAT(Bitmap::FromBytes(9, "\x01").status().message(), HasSubstr("2 bytes, not 1"));
  EXPECT_THAT(Bitmap::FromBytes(0, "\x01").status().message(), HasSubstr("0 bytes, not 1"));
  EXPECT_THAT(Bitmap::FromBytes(9, "\x01\x02").status().message(), HasSubstr("after the last"));
  EXPECT_TRUE(Bitmap::FromBytes(9, "\x01\x01").ok());
}

TEST(Bitmap, ANumberOfItemsThatNobodyHasCostsNoMemory) {
  for (const int64_t items : {int64_t{-1}, std::numeric_limits<int64_t>::min(), int64_t{1} << 40,
                              std::numeric_limits<int64_t>::max()}) {
    EXPECT_FALSE(Bitmap::FromBytes(items, "\x01").ok()) << items;
  }
}

}  // namespace
}  // namespace bitquake
