// The SECDED code against a table of its own: the columns as Hsiao's construction says, written out
// bit by bit, and a decoder that searches them.
#include "common/fault/secded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <vector>

namespace bitquake {
namespace {

// The 72 columns, data bits first, as sets of rows: not as the code under test makes them.
std::vector<std::set<int>> Columns() {
  std::vector<std::set<int>> columns;
  // Triples in ascending order of the number whose binary digits they are: by the highest row
  // first.
  for (int high = 2; high < 8; ++high) {
    for (int middle = 1; middle < high; ++middle) {
      for (int low = 0; low < middle; ++low) {
        columns.push_back({low, middle, high});
      }
    }
  }
  for (int first = 0; first < 8; ++first) {
    std::set<int> five;
    for (int i = 0; i < 5; ++i) {
      five.insert((first + i) % 8);
    }
    columns.push_back(five);
  }
  for (int row = 0; row < 8; ++row) {
    columns.push_back({row});
  }
  return columns;
}

std::set<int> SymmetricDifference(const std::set<int>& a, const std::set<int>& b) {
  std::set<int> out;
  for (int row = 0; row < 8; ++row) {
    if (a.count(row) != b.count(row)) {
      out.insert(row);
    }
  }
  return out;
}

// Positions of flips, 0 to 63 data, 64 to 71 check bits.
SecdedFlips FlipsAt(const std::vector<int>& positions) {
  SecdedFlips flips;
  for (const int position : positions) {
    if (position < 64) {
      flips.data ^= uint64_t{1} << position;
    } else {
      flips.check ^= static_cast<uint8_t>(1 << (position - 64));
    }
  }
  return flips;
}

// What a decoder that looks its syndrome up among the columns does.
SecdedResult Searched(const std::vector<std::set<int>>& columns,
                      const std::vector<int>& positions) {
  std::set<int> syndrome;
  for (const int position : positions) {
    syndrome = SymmetricDifference(syndrome, columns[position]);
  }
  const SecdedFlips flips = FlipsAt(positions);
  if (syndrome.empty()) {
    return {flips.data, false};
  }
  for (int position = 0; position < 72; ++position) {
    if (columns[position] == syndrome) {
      return {position < 64 ? flips.data ^ uint64_t{1} << position : flips.data, false};
    }
  }
  return {flips.data, true};
}

TEST(Secded, ColumnsAreDistinctOddAndBalanced) {
  const std::vector<std::set<int>> columns = Columns();
  ASSERT_EQ(columns.size(), 72u);
  EXPECT_EQ(std::set<std::set<int>>(columns.begin(), columns.end()).size(), 72u);
  std::vector<int> ones(8);
  for (int bit = 0; bit < 64; ++bit) {
    std::set<int> rows;
    for (int row = 0; row < 8; ++row) {
      if (SecdedColumns()[bit] >> row & 1) {
        rows.insert(row);
        ++ones[row];
      }
    }
    EXPECT_EQ(rows, columns[bit]) << "bit " << bit;
    EXPECT_EQ(rows.size() % 2, 1u);
  }
  EXPECT_THAT(ones, testing::Each(26));
}

TEST(Secded, EverySingleFlipIsCorrected) {
  for (int position = 0; position < 72; ++position) {
    const SecdedResult result = DecodeSecded(FlipsAt({position}));
    EXPECT_EQ(result.data_flips, 0u) << position;
    EXPECT_FALSE(result.uncorrectable) << position;
  }
  EXPECT_EQ(DecodeSecded({}).data_flips, 0u);
  EXPECT_FALSE(DecodeSecded({}).uncorrectable);
}

TEST(Secded, EveryPairOfFlipsIsDetectedAndLeftAsItIs) {
  for (int a = 0; a < 72; ++a) {
    for (int b = 0; b < a; ++b) {
      const SecdedFlips flips = FlipsAt({a, b});
      const SecdedResult result = DecodeSecded(flips);
      EXPECT_TRUE(result.uncorrectable) << a << " " << b;
      EXPECT_EQ(result.data_flips, flips.data) << a << " " << b;
    }
  }
}

TEST(Secded, EveryTripleOfFlipsIsDecodedAsTheTableSays) {
  const std::vector<std::set<int>> columns = Columns();
  int miscorrected = 0;
  int detected = 0;
  for (int a = 0; a < 72; ++a) {
    for (int b = 0; b < a; ++b) {
      for (int c = 0; c < b; ++c) {
        const SecdedResult expected = Searched(columns, {a, b, c});
        const SecdedResult result = DecodeSecded(FlipsAt({a, b, c}));
        ASSERT_EQ(result.uncorrectable, expected.uncorrectable) << a << " " << b << " " << c;
        ASSERT_EQ(result.data_flips, expected.data_flips) << a << " " << b << " " << c;
        ++(result.uncorrectable ? detected : miscorrected);
      }
    }
  }
  // Of 59,640 triples. Each of the code's words of four ones makes four triples miscorrect.
  EXPECT_EQ(miscorrected + detected, 72 * 71 * 70 / 6);
  EXPECT_EQ(miscorrected % 4, 0);
  EXPECT_GT(detected, 0);
  EXPECT_GT(miscorrected, detected);
}

TEST(Secded, EveryQuadrupleIsDetectedOrACodeword) {
  const std::vector<std::set<int>> columns = Columns();
  int64_t undetected = 0;
  for (int a = 0; a < 72; ++a) {
    for (int b = 0; b < a; ++b) {
      for (int c = 0; c < b; ++c) {
        for (int d = 0; d < c; ++d) {
          const SecdedFlips flips = FlipsAt({a, b, c, d});
          const SecdedResult result = DecodeSecded(flips);
          ASSERT_EQ(result.data_flips, flips.data);
          undetected += result.uncorrectable ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(undetected, 0);
  // The triples that are taken for a single flip are those of these words.
  int64_t miscorrected = 0;
  for (int a = 0; a < 72; ++a) {
    for (int b = 0; b < a; ++b) {
      for (int c = 0; c < b; ++c) {
        miscorrected += Searched(columns, {a, b, c}).uncorrectable ? 0 : 1;
      }
    }
  }
  EXPECT_EQ(miscorrected, 4 * undetected);
}

}  // namespace
}  // namespace bitquake
