// Jobs that fail, or bring their workers down.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A campaign of which `worker` has answered all but one trial job, which is leased, alone.
class LastJobTest : public testing::Test {
 protected:
  explicit LastJobTest(SchedulerOptions options = Options()) : coordinator_(options) {}

  static SchedulerOptions Options() {
    SchedulerOptions options;
    options.max_lease_jobs = 1;
    options.max_failures = 3;
    options.max_losses = 2;
    options.first_retry = absl::Seconds(1);
    return options;
  }

  void SetUp() override {
    id_ = coordinator_.Submit();
    grant_ = worker_.WorkUntil(JobKind::kTrials);
    ASSERT_EQ(grant_->jobs.size(), 1u);
    ASSERT_NO_FATAL_FAILURE(worker_.WorkToEnd());
    ASSERT_EQ(coordinator_.Snapshot(id_).state, "running");
  }

  TestCoordinator coordinator_;
  TestWorker worker_{&coordinator_, "w"};
  std::string id_;
  std::unique_ptr<LeaseGrant> grant_;
};

TEST_F(LastJobTest, ThatFailsIsTriedAgainLaterAndLaterAndThenPoisoned) {
  const int64_t job = grant_->jobs[0].job;
  for (const absl::Duration delay : {absl::Seconds(1), absl::Seconds(2)}) {
    ASSERT_TRUE(worker_.Fail(*grant_, "out of memory").ok());
    coordinator_.Advance(delay - absl::Milliseconds(1));
    EXPECT_EQ(worker_.Lease(), nullptr) << delay;
    coordinator_.Advance(absl::Milliseconds(1));
    grant_ = worker_.Lease();
    ASSERT_NE(grant_, nullptr) << delay;
    EXPECT_EQ(grant_->jobs[0].job, job);
    EXPECT_EQ(coordinator_.Snapshot(id_).jobs_poisoned, 0);
  }
  ASSERT_TRUE(worker_.Fail(*grant_, "out of memory").ok());
  const CampaignSnapshot now = coordinator_.Snapshot(id_);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_poisoned, 1);
  EXPECT_EQ(now.jobs_done, now.jobs_total - 1);
  EXPECT_EQ(now.jobs_leased, 0);
  EXPECT_THAT(now.poison_errors,
              ElementsAre(AllOf(HasSubstr("vit int8"), HasSubstr("out of memory"))));
  coordinator_.Advance(absl::Hours(1));
  EXPECT_EQ(worker_.Lease(), nullptr);
  EXPECT_EQ(coordinator_->counters().failures, 3);
}

TEST_F(LastJobTest, ThatIsReleasedForARetryIsGivenToWhoWaits) {
  ASSERT_TRUE(worker_.Fail(*grant_, "a hiccup").ok());
  auto reply = worker_.AskForLease(1000, absl::Seconds(30));
  coordinator_.Advance(absl::Seconds(1));
  const auto grant = reply.Get();
  ASSERT_TRUE(grant.ok() && *grant != nullptr);
  worker_.AnswerAll(**grant);
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "done");
}

TEST_F(LastJobTest, ThatWaitsForARetrySurvivesARestart) {
  ASSERT_TRUE(worker_.Fail(*grant_, "a hiccup").ok());
  coordinator_.Restart();
  ASSERT_NO_FATAL_FAILURE(worker_.WorkToEnd());
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "done");
  EXPECT_EQ(coordinator_.Snapshot(id_).jobs_poisoned, 0);
}

TEST_F(LastJobTest, MayOnlyBeFailedByWhoHoldsIt) {
  TestWorker other(&coordinator_, "other");
  FailureReport failure;
  failure.jobs = {grant_->jobs[0].job};
  failure.error = "not mine";
  LeaseGrant another = *grant_;
  ++another.lease;
  ASSERT_TRUE(other.Report(another, failure).ok());
  EXPECT_EQ(coordinator_.Snapshot(id_).jobs_leased, 1);
  EXPECT_EQ(coordinator_.Query("SELECT failures FROM jobs"), 0);
}

TEST_F(LastJobTest, ThatIsLostAloneTooOftenIsPoisoned) {
  for (int losses = 1; losses <= Options().max_losses; ++losses) {
    coordinator_.Advance(absl::Seconds(60));
    grant_ = worker_.Lease();
    ASSERT_NE(grant_, nullptr) << "after " << losses;
  }
  coordinator_.Advance(absl::Seconds(60));
  const CampaignSnapshot now = coordinator_.Snapshot(id_);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_poisoned, 1);
  EXPECT_THAT(now.poison_errors, ElementsAre(HasSubstr("lost 3 times")));
  EXPECT_EQ(worker_.Lease(), nullptr);
}

TEST_F(LastJobTest, ThatEndsItsLeaseInOrderIsNotCountedAsLost) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(worker_.Report(*grant_, LeaseEnd{}).ok());
    grant_ = worker_.Lease();
    ASSERT_NE(grant_, nullptr);
  }
  EXPECT_EQ(coordinator_.Query("SELECT losses FROM jobs"), 0);
}

TEST(LostLease, OfManyJobsMakesThemSuspectsAndInTheEndEachIsAlone) {
  SchedulerOptions options;
  options.max_losses = 3;
  TestCoordinator coordinator(options);
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  std::unique_ptr<LeaseGrant> lost = worker.WorkUntil(JobKind::kTrials);
  for (int losses = 1; losses <= 3; ++losses) {
    ASSERT_GT(lost->jobs.size(), 1u) << losses;
    coordinator.Advance(options.lease);
    EXPECT_EQ(coordinator.Snapshot(id).jobs_poisoned, 0);
    EXPECT_EQ(coordinator.Query("SELECT max(losses) FROM jobs"), losses);
    lost = worker.Lease();
    ASSERT_NE(lost, nullptr);
  }
  ASSERT_EQ(lost->jobs.size(), 1u);
  coordinator.Advance(options.lease);
  EXPECT_EQ(coordinator.Snapshot(id).jobs_poisoned, 1) << "the one that was alone, and no other";
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator.Snapshot(id).jobs_poisoned, 1);
}

TEST(PoisonedJob, ThatIsAnsweredAfterAllIsDoneAndCountedOnce) {
  SchedulerOptions options;
  options.max_lease_jobs = 1;
  options.max_losses = 0;
  TestCoordinator coordinator(options);
  TestWorker late(&coordinator, "late");
  TestWorker other(&coordinator, "other");
  const std::string id = coordinator.Submit();
  const auto grant = late.WorkUntil(JobKind::kTrials);
  coordinator.Advance(options.lease);
  ASSERT_EQ(coordinator.Snapshot(id).jobs_poisoned, 1);
  ASSERT_TRUE(late.Answer(*grant, grant->jobs[0]).ok());
  CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.jobs_poisoned, 0);
  EXPECT_EQ(now.jobs_done, kProbeJobs + kGoldenJobs + 1);
  ASSERT_NO_FATAL_FAILURE(other.WorkToEnd());
  now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_done, now.jobs_total);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
}

TEST(GoldenJob, ThatFailsTooOftenFailsItsCampaign) {
  SchedulerOptions options;
  options.max_failures = 1;
  TestCoordinator coordinator(options);
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kGolden);
  ASSERT_TRUE(worker.Fail(*grant, "no logits").ok());
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "failed");
  EXPECT_THAT(now.error, HasSubstr("no logits"));
  EXPECT_GT(now.finished_unix_ms, 0);
  EXPECT_EQ(now.jobs_leased, 0);
  EXPECT_EQ(worker.Lease(), nullptr);
}

TEST(PermanentFailure, ExcludesTheWorkerAndAnotherGetsTheJob) {
  TestCoordinator coordinator;
  TestWorker first(&coordinator, "first");
  TestWorker second(&coordinator, "second");
  const std::string id = coordinator.Submit();
  const auto grant = first.Lease();
  ASSERT_TRUE(first.Fail(*grant, "no such model", /*permanent=*/true).ok());
  EXPECT_EQ(first.Lease(), nullptr);
  EXPECT_EQ(coordinator.Snapshot(id).state, "probing");
  // Not counted against the job: it is the worker's.
  EXPECT_EQ(coordinator.Query("SELECT failures FROM jobs"), 0);
  const auto again = second.Lease();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->jobs[0].job, grant->jobs[0].job);
  ASSERT_TRUE(second.Report(*again, LeaseEnd{}).ok());

  // Another campaign may suit it.
  const std::string other = coordinator.Submit(kSmallCampaign, "other");
  const auto next = first.Lease();
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->campaign, other);
}

TEST(PermanentFailure, WithNobodyElseToRunItFailsTheCampaign) {
  TestCoordinator coordinator;
  TestWorker gone(&coordinator, "gone");
  coordinator.Advance(absl::Seconds(61));
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  ASSERT_TRUE(worker.Fail(*worker.Lease(), "no such model", /*permanent=*/true).ok());
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "failed");
  EXPECT_THAT(now.error, HasSubstr("no such model"));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM leases"), 0);
}

TEST(PermanentFailure, OfACampaignThatHasResultsPausesItUntilItIsMended) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  worker.AnswerAll(*worker.WorkUntil(JobKind::kTrials));
  const int64_t done = coordinator.Snapshot(id).jobs_done;
  ASSERT_TRUE(worker.Fail(*worker.Lease(), "the model changed", /*permanent=*/true).ok());
  CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "paused");
  EXPECT_THAT(now.error, HasSubstr("the model changed"));
  EXPECT_EQ(now.jobs_done, done);
  EXPECT_EQ(worker.Lease(), nullptr);

  ASSERT_TRUE(coordinator.Control(id, Coordinator::Command::kResume).ok());
  EXPECT_EQ(coordinator.Snapshot(id).error, "");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_done, now.jobs_total);
}

class DamagedCampaign : public testing::TestWithParam<const char*> {};

TEST_P(DamagedCampaign, PausesAndTheOthersGoOn) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string damaged = coordinator.Submit();
  auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_NE(grant, nullptr);
  ASSERT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
  ASSERT_NO_FATAL_FAILURE(coordinator.Change(GetParam()));
  coordinator.Restart();
  const std::string other = coordinator.Submit(kSmallCampaign, "another");
  TestWorker next(&coordinator, "next");
  ASSERT_NO_FATAL_FAILURE(next.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(damaged).state, "paused");
  EXPECT_THAT(coordinator.Snapshot(damaged).error, testing::HasSubstr("restore a backup"));
  EXPECT_EQ(coordinator.Snapshot(other).state, "done");
}

INSTANTIATE_TEST_SUITE_P(Rows, DamagedCampaign,
                         testing::Values("UPDATE campaigns SET fold_sizes = '[5,4'",
                                         "UPDATE campaigns SET fold_sizes = '{}'",
                                         "UPDATE campaigns SET resolved = '{'"));

}  // namespace
}  // namespace bitquake
