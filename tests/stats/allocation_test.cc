#include "common/stats/allocation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace bitquake {
namespace {

SequentialRule Rule(int64_t min, int64_t max, double half_width) {
  SequentialDesign design;
  design.min = min;
  design.max = max;
  design.half_width = half_width;
  return SequentialRule::Create(design).value();
}

// Cells whose trials are known beforehand: trial t of cell c is a function of both.
double TrialValue(int64_t cell, int64_t trial) {
  std::minstd_rand generator(static_cast<uint32_t>(1 + cell * 1009 + trial * 31));
  generator.discard(3);
  const double u = static_cast<double>(generator()) / 2147483647.0;
  return (u - 0.5) * static_cast<double>(cell % 17);
}

TrialSums SumsOf(int64_t cell, int64_t trials) {
  TrialSums sums;
  for (int64_t t = 0; t < trials; ++t) {
    sums.Add(TrialValue(cell, t));
  }
  return sums;
}

std::vector<TrialAllocator::Cell> NewCells(int64_t count) {
  std::vector<TrialAllocator::Cell> cells;
  for (int64_t c = 0; c < count; ++c) {
    cells.push_back({{}, 1 + static_cast<double>(c % 5)});
  }
  return cells;
}

TEST(TrialAllocator, GivesTheWidestForItsCostFirst) {
  const SequentialRule rule = Rule(10, 500, 0.2);
  const int64_t kCells = 60;
  TrialAllocator allocator(rule, NewCells(kCells));
  std::vector<TrialAllocator::Cell> cells = NewCells(kCells);
  while (absl::optional<TrialBatch> batch = allocator.Next()) {
    // The first of all cells by the definition, looked for among all of them.
    int64_t first = -1;
    const auto width_for_cost = [&](int64_t c) {
      const TrialAllocator::Cell& cell = cells[static_cast<size_t>(c)];
      return rule.HalfWidth(cell.sums) / cell.cost;
    };
    const auto cost = [&](int64_t c) { return cells[static_cast<size_t>(c)].cost; };
    for (int64_t c = 0; c < kCells; ++c) {
      if (rule.IsDone(cells[static_cast<size_t>(c)].sums)) continue;
      if (first < 0 || width_for_cost(c) > width_for_cost(first) ||
          (width_for_cost(c) == width_for_cost(first) && cost(c) < cost(first))) {
        first = c;
      }
    }
    ASSERT_EQ(batch->cell, first);
    TrialSums& sums = cells[static_cast<size_t>(first)].sums;
    ASSERT_EQ(batch->trials, rule.NextLook(sums.trials));
    sums = SumsOf(first, batch->trials);
    allocator.Update(first, sums);
  }
  for (const TrialAllocator::Cell& cell : cells) {
    EXPECT_TRUE(rule.IsDone(cell.sums));
  }
  EXPECT_EQ(allocator.open_cells(), 0);
  EXPECT_EQ(allocator.WidestHalfWidth(), 0);
}

TEST(TrialAllocator, GivesNewCellsTheirFirstTrialsBeforeAllOthersTheCheapFirst) {
  std::vector<TrialAllocator::Cell> cells(4);
  cells[0] = {SumsOf(3, 10), 1};
  cells[1] = {{}, 7};
  cells[2] = {SumsOf(5, 1), 2};
  cells[3] = {{}, 2};
  TrialAllocator allocator(Rule(10, 500, 0.01), cells);
  for (int64_t expected : {2, 3, 1, 0}) {
    EXPECT_EQ(allocator.Next()->cell, expected);
  }
  EXPECT_FALSE(allocator.Next().has_value());
  EXPECT_EQ(allocator.open_cells(), 4);
}

TEST(TrialAllocator, WaitsForTheWholeBatch) {
  TrialAllocator allocator(Rule(10, 500, 0.01), NewCells(1));
  EXPECT_EQ(allocator.Next()->trials, 10);
  allocator.Update(0, SumsOf(3, 9));
  EXPECT_FALSE(allocator.Next().has_value());
  EXPECT_DOUBLE_EQ(allocator.WidestHalfWidth(), Rule(10, 500, 0.01).HalfWidth(SumsOf(3, 9)));
  allocator.Update(0, SumsOf(3, 10));
  EXPECT_EQ(allocator.Next()->trials, 13);
  EXPECT_FALSE(allocator.Next().has_value());
}

TEST(TrialAllocator, HandsOutNothingTwice) {
  TrialAllocator allocator(Rule(10, 13, 0.01), NewCells(2));
  // The batch of cell 1 comes in before it was handed out, twice.
  allocator.Update(1, SumsOf(3, 10));
  allocator.Update(1, SumsOf(3, 10));
  EXPECT_EQ(allocator.Next()->cell, 0);
  const absl::optional<TrialBatch> batch = allocator.Next();
  EXPECT_EQ(batch->cell, 1);
  EXPECT_EQ(batch->trials, 13);
  EXPECT_FALSE(allocator.Next().has_value());
  allocator.Update(1, SumsOf(3, 13));
  allocator.Update(1, SumsOf(3, 13));
  EXPECT_EQ(allocator.open_cells(), 1);
}

TEST(TrialAllocator, CellsMayJoinLater) {
  const SequentialRule rule = Rule(8, 20, 0.1);
  TrialAllocator at_once(rule, NewCells(9));
  TrialAllocator later(rule, NewCells(4));
  const std::vector<TrialAllocator::Cell> cells = NewCells(9);
  for (int64_t c = 4; c < 9; ++c) {
    EXPECT_EQ(later.AddCell(cells[static_cast<size_t>(c)]), c);
  }
  EXPECT_EQ(later.AddCell({SumsOf(3, 20), 1}), 9) << "done already";
  EXPECT_EQ(later.open_cells(), 9);
  while (absl::optional<TrialBatch> batch = at_once.Next()) {
    const absl::optional<TrialBatch> same = later.Next();
    ASSERT_TRUE(same.has_value());
    EXPECT_EQ(same->cell, batch->cell);
    EXPECT_EQ(same->trials, batch->trials);
    at_once.Update(batch->cell, SumsOf(batch->cell, batch->trials));
    later.Update(batch->cell, SumsOf(batch->cell, batch->trials));
  }
  EXPECT_FALSE(later.Next().has_value());
  EXPECT_EQ(later.open_cells(), 0);
}

TEST(TrialAllocator, CellsThatAreDoneGetNothing) {
  std::vector<TrialAllocator::Cell> cells(2);
  cells[0].sums = SumsOf(0, 10);  // without variance
  cells[1].sums = SumsOf(3, 500);
  TrialAllocator allocator(Rule(10, 500, 0.01), cells);
  EXPECT_EQ(allocator.open_cells(), 0);
  EXPECT_FALSE(allocator.Next().has_value());
  EXPECT_EQ(allocator.ForecastCost(), 0);
}

// Batches come back late and in any order, and the allocator is made anew from the sums in the
// middle: every cell ends with the same trials.
TEST(TrialAllocator, TheTrialsOfACellDependOnNeitherOrderNorRestarts) {
  const SequentialRule rule = Rule(10, 200, 0.3);
  const int64_t kCells = 50;
  std::vector<int64_t> expected;
  for (int64_t c = 0; c < kCells; ++c) {
    int64_t trials = 0;
    while (!rule.IsDone(SumsOf(c, trials))) trials = rule.NextLook(trials);
    expected.push_back(trials);
  }
  EXPECT_EQ(*std::min_element(expected.begin(), expected.end()), 10);
  EXPECT_EQ(*std::max_element(expected.begin(), expected.end()), 200);
  for (uint64_t seed : {1, 2, 3}) {
    std::mt19937_64 generator(seed);
    std::vector<TrialAllocator::Cell> cells = NewCells(kCells);
    TrialAllocator allocator(rule, cells);
    std::vector<TrialBatch> out;
    while (allocator.open_cells() > 0) {
      absl::optional<TrialBatch> batch;
      while (out.size() < 8 && (batch = allocator.Next())) out.push_back(*batch);
      ASSERT_FALSE(out.empty());
      std::swap(out.back(), out[generator() % out.size()]);
      TrialSums& sums = cells[static_cast<size_t>(out.back().cell)].sums;
      const bool restart = generator() % 10 == 0;
      // At a restart part of a batch is in.
      sums = SumsOf(out.back().cell,
                    restart ? (sums.trials + out.back().trials) / 2 : out.back().trials);
      allocator.Update(out.back().cell, sums);
      out.pop_back();
      if (restart) {
        out.clear();
        allocator = TrialAllocator(rule, cells);
      }
    }
    for (int64_t c = 0; c < kCells; ++c) {
      EXPECT_EQ(cells[static_cast<size_t>(c)].sums.trials, expected[static_cast<size_t>(c)]) << c;
    }
  }
}

TEST(TrialAllocator, ForecastsWhatIsLeft) {
  const SequentialRule rule = Rule(10, 500, 0.5);
  std::vector<TrialAllocator::Cell> cells(2);
  cells[0] = {{}, 3};
  cells[1] = {SumsOf(16, 10), 2};
  const TrialAllocator allocator(rule, cells);
  const TrialSums& sums = cells[1].sums;
  const double left =
      static_cast<double>(rule.ForecastTrials(sums.Variance(), sums.Skewness()) - 10);
  EXPECT_GT(left, 100);
  EXPECT_DOUBLE_EQ(allocator.ForecastCost(), 10 * 3 + left * 2);
}

// Of the processor, so that a busy machine does not count. Generous: a step takes about 1 us.
TEST(TrialAllocator, AStepIsCheapAmong100000Cells) {
  const int64_t kCells = 100'000;
  const SequentialRule rule = Rule(10, 500, 0.5);
  TrialAllocator allocator(rule, NewCells(kCells));
  int64_t steps = 0;
  const std::clock_t start = std::clock();
  while (absl::optional<TrialBatch> batch = allocator.Next()) {
    // Sums as of trials of some deviation; the cells need from 10 to 500 of them.
    const double n = static_cast<double>(batch->trials);
    const double deviation = 0.1 * static_cast<double>(1 + batch->cell % 60);
    allocator.Update(batch->cell, {batch->trials, 0, n * deviation * deviation, 0});
    ++steps;
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("%lld steps, %.2f us each\n", static_cast<long long>(steps),
              1e6 * seconds / static_cast<double>(steps));
  EXPECT_GT(steps, 5 * kCells);
  EXPECT_LT(seconds / static_cast<double>(steps), 20e-6);
}

}  // namespace
}  // namespace bitquake
