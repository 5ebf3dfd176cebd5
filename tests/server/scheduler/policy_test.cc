#include "server/scheduler/policy.h"

#include <gtest/gtest.h>

#include <set>

namespace bitquake {
namespace {

constexpr int64_t kPlenty = 1'000'000;

SchedulerOptions Options() {
  SchedulerOptions options;
  options.lease_work = absl::Seconds(20);
  options.max_lease_jobs = 100;
  options.first_retry = absl::Seconds(1);
  return options;
}

TEST(LeaseJobs, HoldsTheWorkOfSoMuchTime) {
  EXPECT_EQ(LeaseJobs(Options(), /*images_per_second=*/50, /*images_per_job=*/25, kPlenty, 1), 40);
  EXPECT_EQ(LeaseJobs(Options(), 50, 26, kPlenty, 1), 38);  // 38.46: never more than the time
}

TEST(LeaseJobs, EndsWithTheLease) {
  SchedulerOptions options = Options();
  options.lease = absl::Seconds(10);
  EXPECT_EQ(LeaseJobs(options, 50, 25, kPlenty, 1), 20);
}

// 20 s at the speed of an H100, on folds of 5,000 images: all of them can be trials of one fold.
TEST(LeaseJobs, GivesAFastWorkerManyTrialsOfAFold) {
  EXPECT_EQ(LeaseJobs(SchedulerOptions(), 10'000, 5'000, ReadyJobs(SchedulerOptions(), 1), 1), 40);
  EXPECT_EQ(LeaseJobs(SchedulerOptions(), 10'000, 200, ReadyJobs(SchedulerOptions(), 1), 1), 1000);
}

TEST(LeaseJobs, IsWorthAGoldenPassHoweverManyWorkersThereAre) {
  const SchedulerOptions options;
  for (const int live : {1, 8, 64, 1000}) {
    EXPECT_GE(LeaseJobs(options, 1e9, 1, ReadyJobs(options, live), live), 32) << live;
  }
}

TEST(LeaseJobs, IsSmallAtUnknownSpeed) {
  EXPECT_EQ(LeaseJobs(Options(), 0, 25, kPlenty, 1), 4);
  EXPECT_EQ(LeaseJobs(Options(), 50, 0, kPlenty, 1), 4);
}

TEST(LeaseJobs, HoldsAtLeastOneAndAtMostTheLimit) {
  EXPECT_EQ(LeaseJobs(Options(), 1e-9, 1e9, kPlenty, 1), 1);
  EXPECT_EQ(LeaseJobs(Options(), 1e300, 1e-9, kPlenty, 1), 100);
  EXPECT_EQ(LeaseJobs(Options(), 125, 25, kPlenty, 1), 100);
  EXPECT_EQ(LeaseJobs(Options(), 50, 25, /*ready_jobs=*/0, 1), 1);
}

TEST(LeaseJobs, TakesAFairPartOfWhatIsReady) {
  EXPECT_EQ(LeaseJobs(Options(), 50, 25, /*ready_jobs=*/60, /*live_workers=*/3), 11);
  EXPECT_EQ(LeaseJobs(Options(), 50, 25, 5, 3), 1);
  EXPECT_EQ(LeaseJobs(Options(), 50, 25, 6, 3), 2);
  EXPECT_EQ(LeaseJobs(Options(), 50, 25, 60, /*live_workers=*/0), 40);  // no division by none
}

TEST(Grown, IsAtMostTwiceTheLastLeaseAmongManyWorkers) {
  EXPECT_EQ(Grown(100, 20, 32), 40);
  EXPECT_EQ(Grown(30, 20, 32), 30);
  EXPECT_EQ(Grown(100, 20, 31), 100);
}

TEST(Grown, BeginsAsAtAnUnknownSpeed) {
  EXPECT_EQ(Grown(100, 0, 1000), 4);
  EXPECT_EQ(Grown(100, 1, 1000), 4);  // after a golden pass
  EXPECT_EQ(Grown(2, 0, 1000), 2);
}

TEST(Spread, IsAQuarterMoreOrLessAndOnAverageNeither) {
  std::set<int64_t> sizes;
  int64_t sum = 0;
  for (int lease = 1; lease <= 1000; ++lease) {
    sizes.insert(Spread(100, lease, 1000));
    sum += Spread(100, lease, 1000);
  }
  EXPECT_GE(*sizes.begin(), 75);
  EXPECT_LE(*sizes.rbegin(), 125);
  EXPECT_EQ(sizes.size(), 51u);  // all of them
  EXPECT_NEAR(static_cast<double>(sum), 100'000, 100);
}

TEST(Spread, LeavesAFewWorkersAloneAndNobodyWithoutWork) {
  EXPECT_EQ(Spread(100, 7, 31), 100);
  for (int lease = 1; lease <= 100; ++lease) {
    EXPECT_EQ(Spread(1, lease, 1000), 1);
  }
}

TEST(UpdatedSpeed, IsTheFirstMeasurementThenAMean) {
  EXPECT_EQ(UpdatedSpeed(0, 100, absl::Seconds(2)), 50);
  EXPECT_DOUBLE_EQ(UpdatedSpeed(30, 100, absl::Seconds(2)), 37.5);  // 1/30 and 1/50 s an image
}

TEST(UpdatedSpeed, AtMostDoublesAndFallsAtOnce) {
  EXPECT_NEAR(UpdatedSpeed(30, 1'000'000, absl::Milliseconds(1)), 60, 0.01);
  EXPECT_LT(UpdatedSpeed(1000, 10, absl::Seconds(10)), 2.0);
}

TEST(UpdatedSpeed, StaysWhereNothingWasMeasured) {
  EXPECT_EQ(UpdatedSpeed(30, 0, absl::Seconds(2)), 30);
  EXPECT_EQ(UpdatedSpeed(30, 100, absl::ZeroDuration()), 30);
  EXPECT_EQ(UpdatedSpeed(0, 0, absl::ZeroDuration()), 0);
}

TEST(RetryDelay, DoublesWithEveryFailureUpToALimit) {
  EXPECT_EQ(RetryDelay(Options(), 1), absl::Seconds(1));
  EXPECT_EQ(RetryDelay(Options(), 2), absl::Seconds(2));
  EXPECT_EQ(RetryDelay(Options(), 5), absl::Seconds(16));
  EXPECT_EQ(RetryDelay(Options(), 11), absl::Seconds(1024));
  EXPECT_EQ(RetryDelay(Options(), 12), absl::Seconds(1024));
  EXPECT_EQ(RetryDelay(Options(), 0), absl::Seconds(1));
}

TEST(RetryWindow, LetsTwoHundredWorkersASecondComeBackForHalfAMinuteAtMost) {
  EXPECT_EQ(RetryWindow(1), absl::Milliseconds(5));
  EXPECT_EQ(RetryWindow(1000), absl::Seconds(5));
  EXPECT_EQ(RetryWindow(100'000), absl::Seconds(30));
}

}  // namespace
}  // namespace bitquake
