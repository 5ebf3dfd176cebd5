#include "common/campaign/folds.h"

#include <algorithm>
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

std::vector<int> BalancedLabels(int classes, int per_class) {
  std::vector<int> labels;
  for (int i = 0; i < classes * per_class; ++i) labels.push_back(i % classes);
  return labels;
}

void ExpectBalancedPartition(const std::vector<int>& labels,
                             const std::vector<std::vector<int64_t>>& folds) {
  std::set<int64_t> seen;
  std::map<int, std::vector<int>> per_class;
  size_t smallest = labels.size(), largest = 0;
  for (size_t fold = 0; fold < folds.size(); ++fold) {
    EXPECT_TRUE(std::is_sorted(folds[fold].begin(), folds[fold].end()));
    smallest = std::min(smallest, folds[fold].size());
    largest = std::max(largest, folds[fold].size());
    for (int64_t image : folds[fold]) {
      EXPECT_TRUE(seen.insert(image).second) << image;
      std::vector<int>& counts = per_class[labels[image]];
      counts.resize(folds.size());
      ++counts[fold];
    }
  }
  EXPECT_EQ(seen.size(), labels.size());
  EXPECT_LE(largest - smallest, 1u);
  for (const auto& [label, counts] : per_class) {
    const auto [low, high] = std::minmax_element(counts.begin(), counts.end());
    EXPECT_LE(*high - *low, 1) << "class " << label;
  }
}

TEST(FoldCount, DefaultsToFiftyOfAtLeastTwoHundredImages) {
  EXPECT_EQ(FoldCount(0, 50'000), 50);
  EXPECT_EQ(FoldCount(0, 10'000), 50);
  EXPECT_EQ(FoldCount(0, 9'999), 49);
  EXPECT_EQ(FoldCount(0, 400), 2);
  EXPECT_EQ(FoldCount(0, 199), 1);
  EXPECT_EQ(FoldCount(0, 1), 1);
}

TEST(FoldCount, FollowsTheRequestUpToOnePerImage) {
  EXPECT_EQ(FoldCount(7, 10'000), 7);
  EXPECT_EQ(FoldCount(200, 10'000), 200);
  EXPECT_EQ(FoldCount(10, 3), 3);
}

TEST(Folds, PartitionTheImagesEvenlyInEachClass) {
  std::vector<int> uneven;
  for (int label = 0; label < 37; ++label) uneven.insert(uneven.end(), 1 + label * 5 % 83, label);
  for (const std::vector<int>& labels :
       {BalancedLabels(1000, 50), BalancedLabels(1000, 10), BalancedLabels(10, 23), uneven}) {
    for (int folds : {1, 2, 7, 50}) {
      ExpectBalancedPartition(labels, MakeFolds(labels, folds, 2418));
    }
  }
}

TEST(Folds, OfImageNetHoldOneImageOfEachClass) {
  const std::vector<int> labels = BalancedLabels(1000, 50);
  for (const std::vector<int64_t>& fold : MakeFolds(labels, 50, 1)) {
    std::set<int> classes;
    for (int64_t image : fold) classes.insert(labels[image]);
    EXPECT_THAT(classes, SizeIs(1000));
  }
}

TEST(Folds, ArePureFunctionsOfTheirArguments) {
  const std::vector<int> labels = BalancedLabels(10, 40);
  EXPECT_EQ(MakeFolds(labels, 4, 1), MakeFolds(labels, 4, 1));
  EXPECT_NE(MakeFolds(labels, 4, 1), MakeFolds(labels, 4, 2));
  EXPECT_NE(MakeFolds(labels, 4, 1), MakeFolds(labels, 4, uint64_t{1} << 32 | 1));
}

// Fixed for ever: stored results are by fold.
TEST(Folds, KeepTheirImagesAcrossVersions) {
  EXPECT_THAT(
      MakeFolds(BalancedLabels(3, 4), 3, 2418),
      ElementsAre(ElementsAre(0, 4, 9, 11), ElementsAre(2, 3, 8, 10), ElementsAre(1, 5, 6, 7)));
  EXPECT_THAT(SpreadFolds(10, 3, 1, 2418), ElementsAre(6, 8, 9));
}

TEST(Folds, AreShuffledUniformly) {
  // How often image 0 meets each other image of the other class in a fold of 2: 1 in 8 each.
  std::map<int64_t, int> partners;
  const int seeds = 8000;
  for (int seed = 0; seed < seeds; ++seed) {
    for (const std::vector<int64_t>& fold : MakeFolds(BalancedLabels(2, 8), 8, seed)) {
      if (fold[0] == 0) ++partners[fold[1]];
    }
  }
  EXPECT_THAT(partners, SizeIs(8));
  for (const auto& [image, times] : partners) EXPECT_NEAR(times, 1000, 4.5 * 30) << image;
}

TEST(SpreadFolds, SuccessiveTrialsCoverTheDataSet) {
  for (int folds : {1, 5, 50}) {
    for (int64_t count : {1, 3, 10, 50}) {
      const int64_t needed = (folds + count - 1) / count;
      for (uint32_t first : {0u, 1u, 17u, 999'999u}) {
        std::set<int> covered;
        for (uint32_t trial = first; trial < first + needed; ++trial) {
          const std::vector<int> seen = SpreadFolds(folds, count, trial, 3);
          EXPECT_EQ(static_cast<int64_t>(seen.size()), std::min<int64_t>(count, folds));
          EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
          EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), seen.size());
          covered.insert(seen.begin(), seen.end());
        }
        EXPECT_THAT(covered, SizeIs(folds)) << count << " folds a trial, from trial " << first;
      }
    }
  }
}

TEST(SpreadFolds, UseEachFoldEquallyOften) {
  std::map<int, int> times;
  for (uint32_t trial = 0; trial < 100; ++trial) {
    for (int fold : SpreadFolds(20, 3, trial, 3)) ++times[fold];
  }
  for (const auto& [fold, n] : times) EXPECT_EQ(n, 15) << fold;
}

TEST(SpreadFolds, OrderDependsOnTheSeed) {
  std::set<std::vector<int>> firsts;
  for (uint64_t seed = 0; seed < 100; ++seed) firsts.insert(SpreadFolds(50, 1, 0, seed));
  EXPECT_GT(firsts.size(), 30u);
}

}  // namespace
}  // namespace bitquake
