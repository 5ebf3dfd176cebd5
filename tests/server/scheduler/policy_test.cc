#include "server/scheduler/policy.h"

#include <gtest/gtest.h>

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

TEST(UpdatedSpeed, IsTheFirstMeasurementThenAMean) {
  EXPECT_EQ(UpdatedSpeed(0, 100, absl::Seconds(2)), 50);
  EXPECT_EQ(UpdatedSpeed(30, 100, absl::Seconds(2)), 40);
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

}  // namespace
}  // namespace bitquake
