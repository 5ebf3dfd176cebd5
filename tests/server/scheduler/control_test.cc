// Pause, resume and cancel, in every state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using Command = Coordinator::Command;

class ControlTest : public testing::Test {
 protected:
  // The state after the command, or the error's name.
  std::string After(Command command) {
    const auto snapshot = coordinator_.Control(id_, command);
    return snapshot.ok() ? snapshot->state : absl::StatusCodeToString(snapshot.status().code());
  }

  TestCoordinator coordinator_;
  TestWorker worker_{&coordinator_, "w"};
  const std::string id_ = coordinator_.Submit();
};

TEST_F(ControlTest, PausedWhileProbingGivesNoWorkAndGoesOnProbing) {
  EXPECT_EQ(After(Command::kPause), "paused");
  EXPECT_EQ(worker_.Lease(), nullptr);
  EXPECT_EQ(After(Command::kResume), "probing");
  EXPECT_NE(worker_.Lease(), nullptr);
}

TEST_F(ControlTest, PausedWhileProbingTakesTheProbeAndThenRuns) {
  const auto probe = worker_.Lease();
  EXPECT_EQ(After(Command::kPause), "paused");
  worker_.AnswerAll(*probe);
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "paused");
  EXPECT_EQ(coordinator_.Snapshot(id_).cells, 2);
  EXPECT_EQ(worker_.Lease(), nullptr);
  EXPECT_EQ(After(Command::kResume), "running");
  EXPECT_EQ(worker_.Lease()->kind, JobKind::kGolden);
}

TEST_F(ControlTest, PausedWhileRunningTakesOutcomesOfWhatIsHeldAndGivesNoMore) {
  const auto grant = worker_.WorkUntil(JobKind::kTrials);
  EXPECT_EQ(After(Command::kPause), "paused");
  EXPECT_EQ(After(Command::kPause), "paused");  // again changes nothing
  worker_.AnswerAll(*grant);
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM outcomes"),
            static_cast<int64_t>(grant->jobs.size()));
  EXPECT_EQ(worker_.Lease(), nullptr);
  coordinator_.Restart();
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "paused");
  EXPECT_EQ(worker_.Lease(), nullptr);

  auto waiting = worker_.AskForLease(1000, absl::Seconds(30));
  EXPECT_EQ(After(Command::kResume), "running");
  const auto resumed = waiting.Get();
  ASSERT_TRUE(resumed.ok() && *resumed != nullptr);
  worker_.AnswerAll(**resumed);
  ASSERT_NO_FATAL_FAILURE(worker_.WorkToEnd());
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "done");
}

TEST_F(ControlTest, PausedWithAllItsJobsHeldCanBeDone) {
  std::vector<std::unique_ptr<LeaseGrant>> held;
  held.push_back(worker_.WorkUntil(JobKind::kTrials));
  for (auto grant = worker_.Lease(); grant != nullptr; grant = worker_.Lease()) {
    held.push_back(std::move(grant));
  }
  EXPECT_EQ(After(Command::kPause), "paused");
  for (const auto& grant : held) {
    worker_.AnswerAll(*grant);
  }
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "done");
}

TEST_F(ControlTest, ResumeOfWhatIsNotPausedChangesNothing) {
  EXPECT_EQ(After(Command::kResume), "probing");
  worker_.AnswerAll(*worker_.Lease());
  EXPECT_EQ(After(Command::kResume), "running");
}

TEST_F(ControlTest, CancelledWhileProbingEndsTheProbe) {
  const auto probe = worker_.Lease();
  EXPECT_EQ(After(Command::kCancel), "cancelled");
  ASSERT_TRUE(worker_.Answer(*probe, probe->jobs[0]).ok());
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "cancelled");
  EXPECT_EQ(coordinator_.Snapshot(id_).cells, 0);
  EXPECT_EQ(worker_.Lease(), nullptr);
}

TEST_F(ControlTest, CancelledWhileRunningEndsLeasesAndKeepsWhatWasMeasured) {
  const auto grant = worker_.WorkUntil(JobKind::kTrials);
  ASSERT_GT(grant->jobs.size(), 1u);
  ASSERT_TRUE(worker_.Answer(*grant, grant->jobs[0]).ok());
  EXPECT_EQ(After(Command::kCancel), "cancelled");
  const CampaignSnapshot now = coordinator_.Snapshot(id_);
  EXPECT_GT(now.finished_unix_ms, 0);
  EXPECT_EQ(now.jobs_leased, 0);
  EXPECT_EQ(now.workers, 0);

  Pending<HeartbeatReply> heartbeat;
  coordinator_->Heartbeat("w", {grant->lease}, heartbeat.Callback());
  EXPECT_THAT(heartbeat.Get()->ended_leases, ElementsAre(grant->lease));
  ASSERT_TRUE(worker_.Answer(*grant, grant->jobs[1]).ok());  // too late, and no error
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM outcomes"), 1);
  EXPECT_EQ(worker_.Lease(), nullptr);
  coordinator_.Advance(absl::Hours(1));
  coordinator_.Restart();
  EXPECT_EQ(worker_.Lease(), nullptr);
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "cancelled");
}

TEST_F(ControlTest, APausedCampaignCanBeCancelled) {
  EXPECT_EQ(After(Command::kPause), "paused");
  EXPECT_EQ(After(Command::kCancel), "cancelled");
  EXPECT_EQ(worker_.Lease(), nullptr);
}

TEST_F(ControlTest, WhatIsCancelledStaysSo) {
  EXPECT_EQ(After(Command::kCancel), "cancelled");
  EXPECT_EQ(After(Command::kCancel), "cancelled");
  EXPECT_EQ(After(Command::kPause), "FAILED_PRECONDITION");
  EXPECT_EQ(After(Command::kResume), "FAILED_PRECONDITION");
}

TEST_F(ControlTest, WhatIsDoneStaysSo) {
  ASSERT_NO_FATAL_FAILURE(worker_.WorkToEnd());
  for (const Command command : {Command::kPause, Command::kResume, Command::kCancel}) {
    EXPECT_EQ(After(command), "FAILED_PRECONDITION");
  }
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "done");
}

TEST_F(ControlTest, WhatHasFailedStaysSo) {
  ASSERT_TRUE(worker_.Fail(*worker_.Lease(), "no such model", /*permanent=*/true).ok());
  for (const Command command : {Command::kPause, Command::kResume, Command::kCancel}) {
    EXPECT_EQ(After(command), "FAILED_PRECONDITION");
  }
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "failed");
}

TEST_F(ControlTest, OfAnUnknownCampaignIsNotFound) {
  for (const Command command : {Command::kPause, Command::kResume, Command::kCancel}) {
    EXPECT_EQ(coordinator_.Control("none", command).status().code(), absl::StatusCode::kNotFound);
  }
}

TEST_F(ControlTest, AJobThatWaitsForARetryIsDroppedByCancel) {
  const auto grant = worker_.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker_.Fail(*grant, "a hiccup").ok());
  EXPECT_EQ(After(Command::kCancel), "cancelled");
  coordinator_.Advance(absl::Hours(1));
  EXPECT_EQ(worker_.Lease(), nullptr);
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM jobs"), 0);
}

}  // namespace
}  // namespace bitquake
