#include "server/scheduler/ready_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace bitquake {
namespace {

using testing::ElementsAre;

ReadyBatch Batch(int64_t id, int64_t variant, JobKind kind, int fold, int64_t ready = 10,
                 bool comparable = true) {
  ReadyBatch batch;
  batch.id = id;
  batch.variant = variant;
  batch.kind = kind;
  batch.fold = fold;
  batch.comparable = comparable;
  batch.ready = ready;
  return batch;
}

std::vector<int64_t> Ids(const std::vector<ReadyBatch*>& batches) {
  std::vector<int64_t> ids;
  for (const ReadyBatch* batch : batches) {
    ids.push_back(batch->id);
  }
  return ids;
}

TEST(ReadyBatches, HaveNoFirstOneWhenNoneCanBeCompared) {
  ReadyBatches batches;
  EXPECT_EQ(batches.First(1), nullptr);
  EXPECT_EQ(batches.last_id(), 0);
  batches.Add(Batch(5, 1, JobKind::kTrials, 0, 10, /*comparable=*/false));
  EXPECT_EQ(batches.First(1), nullptr);
  EXPECT_EQ(batches.jobs(), 10);
  EXPECT_EQ(batches.last_id(), 5);
}

TEST(ReadyBatches, TheFirstIsOfTheFirstKindThenOfTheVariantThenTheOldest) {
  ReadyBatches batches;
  batches.Add(Batch(1, 7, JobKind::kTrials, 0));
  batches.Add(Batch(2, 8, JobKind::kTrials, 0));
  batches.Add(Batch(3, 8, JobKind::kTrials, 1));
  EXPECT_EQ(batches.First(0)->id, 1);
  EXPECT_EQ(batches.First(8)->id, 2);
  EXPECT_EQ(batches.First(9)->id, 1);
  batches.Add(Batch(4, 9, JobKind::kGolden, 0));
  EXPECT_EQ(batches.First(8)->id, 4);
}

TEST(ReadyBatches, AlikeAreThoseOfTheFoldThenFoldByFold) {
  ReadyBatches batches;
  batches.Add(Batch(1, 7, JobKind::kTrials, 1));
  batches.Add(Batch(2, 7, JobKind::kTrials, 0));
  batches.Add(Batch(3, 7, JobKind::kTrials, 2));
  batches.Add(Batch(4, 7, JobKind::kTrials, 1));
  batches.Add(Batch(5, 8, JobKind::kTrials, 1));
  batches.Add(Batch(6, 7, JobKind::kGolden, 1));
  batches.Add(Batch(7, 7, JobKind::kTrials, 1, 10, /*comparable=*/false));
  EXPECT_THAT(Ids(batches.Alike(4, 10)), ElementsAre(4, 1, 2, 3));
  EXPECT_THAT(Ids(batches.Alike(4, 3)), ElementsAre(4, 1, 2));
  EXPECT_THAT(Ids(batches.Alike(4, 1)), ElementsAre(4));
}

// Against the plain way: look at all of them.
TEST(ReadyBatches, AreWhatALookAtAllOfThemFinds) {
  std::mt19937 random(1);
  ReadyBatches batches;
  std::vector<ReadyBatch> all;
  auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
  for (int64_t step = 1; step <= 2000; ++step) {
    if (below(3) > 0) {
      all.push_back(Batch(step, below(4), static_cast<JobKind>(below(3)), below(4), 1 + below(3),
                          below(4) > 0));
      batches.Add(all.back());
    } else if (!all.empty()) {
      ReadyBatch& some = all[static_cast<size_t>(below(static_cast<int>(all.size())))];
      const int64_t jobs = 1 + below(static_cast<int>(some.ready));
      batches.Leased(some.id, jobs);
      some.ready -= jobs;
      all.erase(std::remove_if(all.begin(), all.end(),
                               [](const ReadyBatch& batch) { return batch.ready == 0; }),
                all.end());
    }
    int64_t jobs = 0;
    const ReadyBatch* first = nullptr;
    const int64_t variant = below(5);
    const auto rank = [&](const ReadyBatch& batch) {
      return std::tuple(batch.kind, batch.variant != variant, batch.id);
    };
    for (const ReadyBatch& batch : all) {
      jobs += batch.ready;
      if (batch.comparable && (first == nullptr || rank(batch) < rank(*first))) {
        first = &batch;
      }
    }
    ASSERT_EQ(batches.jobs(), jobs);
    const ReadyBatch* found = batches.First(variant);
    ASSERT_EQ(found == nullptr, first == nullptr);
    if (found == nullptr) {
      continue;
    }
    ASSERT_EQ(found->id, first->id);
    std::vector<std::tuple<bool, bool, int, int64_t>> alike;
    for (const ReadyBatch& batch : all) {
      if (batch.comparable && batch.kind == first->kind && batch.variant == first->variant) {
        alike.emplace_back(batch.id != first->id, batch.fold != first->fold, batch.fold, batch.id);
      }
    }
    std::sort(alike.begin(), alike.end());
    std::vector<int64_t> ids;
    for (const auto& batch : alike) {
      ids.push_back(std::get<3>(batch));
    }
    ASSERT_EQ(Ids(batches.Alike(first->id, 1000)), ids);
  }
}

}  // namespace
}  // namespace bitquake
