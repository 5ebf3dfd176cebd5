// Workers that die, freeze or come back: who is suspected, who keeps what, who is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A worker with a lease of several trials.
class LossTest : public testing::Test {
 protected:
  void SetUp() override {
    id_ = coordinator_.Submit();
    grant_ = worker_.WorkUntil(JobKind::kTrials);
    ASSERT_GT(grant_->jobs.size(), 2u);
    EXPECT_FALSE(grant_->one_by_one);
  }

  int64_t Job(int place) const { return grant_->jobs[place].job; }
  absl::Status Begin(std::vector<int64_t> jobs) {
    return worker_.Report(*grant_, JobsBegun{std::move(jobs)});
  }
  // A new process under the worker's name.
  TestWorker Restarted(const std::string& instance, std::vector<int64_t> kept = {}) {
    return TestWorker(&coordinator_, "w", instance, "cpu", std::move(kept));
  }
  // By job, of those with any.
  std::map<int64_t, int64_t> Losses() {
    std::map<int64_t, int64_t> losses;
    for (const LeasedJob& job : grant_->jobs) {
      const int64_t count =
          coordinator_.Query("SELECT losses FROM jobs WHERE id = " + std::to_string(job.job));
      if (count > 0) {
        losses[job.job] = count;
      }
    }
    return losses;
  }
  std::vector<int64_t> EndedOf(std::vector<int64_t> leases) {
    Pending<HeartbeatReply> reply;
    coordinator_->Heartbeat("w", std::move(leases), reply.Callback());
    const auto answer = reply.Get();
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? answer->ended_leases : std::vector<int64_t>{};
  }

  TestCoordinator coordinator_;
  TestWorker worker_{&coordinator_, "w"};
  std::string id_;
  std::unique_ptr<LeaseGrant> grant_;
};

TEST_F(LossTest, IsCountedAgainstWhatHadBegun) {
  ASSERT_TRUE(Begin({Job(0)}).ok());
  ASSERT_TRUE(worker_.Answer(*grant_, grant_->jobs[0]).ok());
  ASSERT_TRUE(Begin({Job(1), Job(2)}).ok());
  ASSERT_TRUE(worker_.Answer(*grant_, grant_->jobs[1]).ok());
  Restarted("second");
  EXPECT_THAT(Losses(), ElementsAre(testing::Pair(Job(2), 1)));
}

TEST_F(LossTest, OfAWorkerThatPreparesIsCountedAgainstNoJob) {
  ASSERT_TRUE(Begin({}).ok());
  Restarted("second");
  EXPECT_THAT(Losses(), IsEmpty());
}

TEST_F(LossTest, OfAWorkerThatSaidNothingIsCountedAgainstAll) {
  Restarted("second");
  EXPECT_EQ(Losses().size(), grant_->jobs.size());
}

TEST_F(LossTest, AfterAllThatHadBegunWasAnsweredIsCountedAgainstTheRest) {
  ASSERT_TRUE(Begin({Job(0)}).ok());
  ASSERT_TRUE(worker_.Answer(*grant_, grant_->jobs[0]).ok());
  Restarted("second");  // what it began then is not known
  EXPECT_EQ(Losses().size(), grant_->jobs.size() - 1);
}

TEST_F(LossTest, OperatorsWhoKillWorkersAgainAndAgainPoisonNothing) {
  for (int kill = 0; kill < 50; ++kill) {
    ASSERT_TRUE(Begin({}).ok());
    TestWorker next = Restarted(std::to_string(kill));
    grant_ = next.Lease();
    ASSERT_NE(grant_, nullptr);
    EXPECT_FALSE(grant_->one_by_one);
  }
  EXPECT_THAT(Losses(), IsEmpty());
}

TEST_F(LossTest, TheJobThatBringsWorkersDownIsPoisonedAndNoOther) {
  const int64_t killer = Job(1);
  std::vector<int64_t> all;
  for (const LeasedJob& job : grant_->jobs) {
    all.push_back(job.job);
  }
  ASSERT_TRUE(Begin(all).ok());
  int deaths = 1;
  auto worker = std::make_unique<TestWorker>(&coordinator_, "w", "1");
  for (std::unique_ptr<LeaseGrant> lease = worker->Lease(); lease != nullptr;) {
    bool died = false;
    for (const LeasedJob& job : lease->jobs) {
      if (lease->one_by_one) {
        ASSERT_TRUE(worker->Report(*lease, JobsBegun{{job.job}}).ok());
      }
      if (job.job == killer) {
        EXPECT_TRUE(lease->one_by_one);
        died = true;
        break;
      }
      ASSERT_TRUE(worker->Answer(*lease, job).ok());
    }
    if (died) {
      worker = std::make_unique<TestWorker>(&coordinator_, "w", std::to_string(++deaths));
    } else {
      ASSERT_TRUE(worker->Report(*lease, LeaseEnd{}).ok());
    }
    lease = worker->Lease();
  }
  const CampaignSnapshot now = coordinator_.Snapshot(id_);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_poisoned, 1);
  EXPECT_EQ(now.jobs_done, now.jobs_total - 1);
  EXPECT_THAT(now.poison_errors, ElementsAre(HasSubstr("lost 6 times")));
  EXPECT_EQ(deaths, SchedulerOptions().max_losses + 1);
  EXPECT_EQ(coordinator_.Query("SELECT id FROM jobs WHERE state = 'poisoned'"), killer);
}

TEST_F(LossTest, IsTakenBackWhenTheWorkerTurnsOutToLive) {
  ASSERT_TRUE(Begin({Job(0), Job(1)}).ok());
  coordinator_.Advance(absl::Seconds(60));
  EXPECT_EQ(Losses().size(), 2u);
  TestWorker other(&coordinator_, "other");
  Pending<HeartbeatReply> reply;
  coordinator_->Heartbeat("other", {grant_->lease}, reply.Callback());
  ASSERT_TRUE(reply.Get().ok());
  EXPECT_EQ(Losses().size(), 2u) << "another worker cannot say so";
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(EndedOf({grant_->lease}), ElementsAre(grant_->lease));
    EXPECT_THAT(Losses(), IsEmpty());
  }
}

TEST_F(LossTest, LeasesOfWhichReportsAreInTheSpoolGoOnAndEndAsTheNewProcessSays) {
  ASSERT_TRUE(Begin({Job(1)}).ok());
  TestWorker worker = Restarted("second", {grant_->lease});
  EXPECT_THAT(EndedOf({grant_->lease}), IsEmpty());
  EXPECT_EQ(coordinator_.Snapshot(id_).jobs_leased, static_cast<int64_t>(grant_->jobs.size()));
  ASSERT_TRUE(worker.Answer(*grant_, grant_->jobs[0]).ok());
  ASSERT_TRUE(worker.Report(*grant_, LeaseEnd{/*lost=*/true}).ok());
  EXPECT_EQ(coordinator_.Snapshot(id_).jobs_leased, 0);
  EXPECT_THAT(Losses(), ElementsAre(testing::Pair(Job(1), 1)));
  EXPECT_EQ(coordinator_->counters().duplicate_outcomes, 0);
}

TEST_F(LossTest, ALeaseIsKeptOnlyForItsOwnWorker) {
  TestWorker thief(&coordinator_, "thief", "first", "cpu", {grant_->lease});
  Restarted("second");
  EXPECT_THAT(EndedOf({grant_->lease}), ElementsAre(grant_->lease));
}

TEST_F(LossTest, ACoordinatorThatWasStoppedTakesNoLeaseAway) {
  coordinator_.Jump(absl::Minutes(10));
  EXPECT_EQ(coordinator_->counters().lease_expirations, 0);
  coordinator_.Advance(absl::Seconds(59));  // their whole time again
  EXPECT_EQ(coordinator_->counters().lease_expirations, 0);
  coordinator_.Advance(absl::Seconds(1));
  EXPECT_EQ(coordinator_->counters().lease_expirations, 1);
}

class Listener {
 public:
  Listener(TestCoordinator& coordinator, const std::string& worker) : coordinator_(coordinator) {
    number_ = coordinator->ListenForEnds(worker, [this](int64_t lease) { told_.push_back(lease); });
  }
  void Stop() { coordinator_->StopListening(number_); }
  std::vector<int64_t> Told() {
    coordinator_->counters();  // what is under way has been told
    return told_;
  }

 private:
  TestCoordinator& coordinator_;
  int64_t number_;
  std::vector<int64_t> told_;
};

TEST_F(LossTest, CancelTellsTheWorkersThatHoldItsLeases) {
  TestWorker other(&coordinator_, "other");
  Listener of_worker(coordinator_, "w");
  Listener of_other(coordinator_, "other");
  ASSERT_TRUE(coordinator_.Control(id_, Coordinator::Command::kCancel).ok());
  EXPECT_THAT(of_worker.Told(), ElementsAre(grant_->lease));
  EXPECT_THAT(of_other.Told(), IsEmpty());
  // Who was granted it in the same moment asks, and is told.
  ASSERT_TRUE(Begin({}).ok());
  EXPECT_THAT(of_worker.Told(), ElementsAre(grant_->lease, grant_->lease));
}

TEST_F(LossTest, WhatEndsByTheWorkersWordIsNotTold) {
  Listener listener(coordinator_, "w");
  ASSERT_TRUE(worker_.Report(*grant_, LeaseEnd{}).ok());
  EXPECT_THAT(listener.Told(), IsEmpty());
}

TEST_F(LossTest, WhoStoppedListeningIsNotTold) {
  Listener listener(coordinator_, "w");
  listener.Stop();
  coordinator_.Advance(absl::Seconds(60));
  EXPECT_EQ(coordinator_->counters().lease_expirations, 1);
  EXPECT_THAT(listener.Told(), IsEmpty());
}

TEST(Registered, IsToldTheStoreAndTheWindowOverWhichToComeBack) {
  TestCoordinator first;
  TestCoordinator second;
  const std::string store = TestWorker(&first, "w").registration().store;
  EXPECT_EQ(store.size(), 32u);
  EXPECT_NE(TestWorker(&second, "w").registration().store, store);
  first.Restart();
  EXPECT_EQ(TestWorker(&first, "w").registration().store, store);
  const absl::Duration alone = TestWorker(&first, "w").registration().retry_window;
  TestWorker more(&first, "more");
  EXPECT_EQ(more.registration().retry_window, 2 * alone);
}

}  // namespace
}  // namespace bitquake
