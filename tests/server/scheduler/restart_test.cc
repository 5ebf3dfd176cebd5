// What a restart, or a full disk, must not lose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Restart, KeepsEveryAcknowledgedOutcomeAndGivesOutTheRest) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  // A restart before, between and after all that is reported.
  int64_t acknowledged = 0;
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    for (const LeasedJob& job : grant->jobs) {
      coordinator.Restart();
      ASSERT_TRUE(worker.Answer(*grant, job).ok()) << "a lease outlives the coordinator";
      ++acknowledged;
      EXPECT_EQ(coordinator.Snapshot(id).jobs_done, acknowledged);
    }
    ASSERT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
  }
  coordinator.Restart();
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_done, kProbeJobs + kGoldenJobs + kTrialJobs);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM trials WHERE finished = 1"), 4);
}

TEST(Restart, LeasesThatAreNotRenewedAfterItEndAndTheirJobsGoToOthers) {
  TestCoordinator coordinator;
  TestWorker lost(&coordinator, "lost");
  TestWorker kept(&coordinator, "kept");
  TestWorker other(&coordinator, "other");
  const std::string id = coordinator.Submit();
  const auto ends = lost.WorkUntil(JobKind::kTrials);
  const auto stays = kept.Lease();
  coordinator.Advance(absl::Seconds(59));
  coordinator.Restart();
  coordinator.Advance(absl::Seconds(59));  // each has its whole time again
  EXPECT_EQ(coordinator->counters().lease_expirations, 0);
  Pending<HeartbeatReply> heartbeat;
  coordinator->Heartbeat("kept", {stays->lease}, heartbeat.Callback());
  EXPECT_THAT(heartbeat.Get()->ended_leases, IsEmpty());
  coordinator.Advance(absl::Seconds(1));
  EXPECT_EQ(coordinator->counters().lease_expirations, 1);

  ASSERT_NO_FATAL_FAILURE(other.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(id).state, "running");
  EXPECT_EQ(coordinator.Snapshot(id).jobs_leased, static_cast<int64_t>(stays->jobs.size()));
  kept.AnswerAll(*stays);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 0);
}

TEST(Restart, AnOutcomeSentAgainAfterItCountsOnce) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  coordinator.Restart();  // the acknowledgement was lost
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 1);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 1);
}

TEST(Restart, LeaseNumbersAreNeverUsedAgain) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto first = worker.Lease();
  ASSERT_TRUE(worker.Report(*first, LeaseEnd{}).ok());
  coordinator.Restart();
  EXPECT_GT(worker.Lease()->lease, first->lease);
}

TEST(FullDisk, LosesNothingAcknowledgedAndWorkGoesOnWithSpace) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(
      "name: n\nmodels: [m]\ndataset: d\nformats: [fp32]\nber: {from: 1e-9, to: 1e-1, per_decade: "
      "1}\n"
      "granularities: [model]\ntrials: 20\nfolds: 2\n");
  int times_full = 0;
  worker.AnswerAll(*worker.Lease());
  for (int64_t spare_pages = 0; coordinator.Snapshot(id).state != "done"; ++spare_pages) {
    ASSERT_LT(spare_pages, 200) << "no progress";
    coordinator.Restart(spare_pages);
    const int64_t done = coordinator.Snapshot(id).jobs_done;
    int64_t acknowledged = 0;
    absl::Status status;
    for (int64_t number = 1000 * (1 + spare_pages); status.ok(); ++number) {
      auto grant = worker.AskForLease(number, absl::ZeroDuration()).Get();
      status = grant.status();
      if (!grant.ok() || *grant == nullptr) {
        break;
      }
      ASSERT_FALSE((*grant)->jobs.empty());
      for (const LeasedJob& job : (*grant)->jobs) {
        status = worker.Answer(**grant, job);
        acknowledged += status.ok() ? 1 : 0;
      }
      status.Update(worker.Report(**grant, LeaseEnd{}));
    }
    if (!status.ok()) {
      ++times_full;
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    }
    coordinator.Restart();
    EXPECT_EQ(coordinator.Snapshot(id).jobs_done, done + acknowledged);
    coordinator.Advance(absl::Seconds(60));  // what is leased to nobody's knowledge comes back
  }
  EXPECT_GT(times_full, 5);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 9 * 20 * 2);
}

}  // namespace
}  // namespace bitquake
