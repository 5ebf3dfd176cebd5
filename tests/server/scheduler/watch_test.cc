// Watching: the present state, changes, the last.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/mutex.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;

// What a watcher was told: states, or the names of errors.
class Told {
 public:
  Coordinator::Watcher Watcher() {
    return [log = log_](const absl::StatusOr<CampaignSnapshot>& snapshot) {
      absl::MutexLock lock(&log->mutex);
      log->states.push_back(snapshot.ok() ? snapshot->state
                                          : absl::StatusCodeToString(snapshot.status().code()));
      log->jobs_done.push_back(snapshot.ok() ? snapshot->jobs_done : -1);
    };
  }
  std::vector<std::string> states() const {
    absl::MutexLock lock(&log_->mutex);
    return log_->states;
  }
  std::vector<int64_t> jobs_done() const {
    absl::MutexLock lock(&log_->mutex);
    return log_->jobs_done;
  }

 private:
  struct Log {
    absl::Mutex mutex;
    std::vector<std::string> states;
    std::vector<int64_t> jobs_done;
  };
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
};

constexpr absl::Duration kBetweenNotices = absl::Milliseconds(250);

TEST(Watch, TellsTheFirstStateThenChangesThenTheLastAndNoMore) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  coordinator.Advance(kBetweenNotices);
  Told told;
  coordinator->Watch(id, told.Watcher());
  coordinator->counters();
  EXPECT_THAT(told.states(), ElementsAre("probing"));
  coordinator.Advance(absl::Minutes(1));
  EXPECT_THAT(told.states(), ElementsAre("probing")) << "nothing has changed";

  worker.AnswerAll(*worker.Lease());
  coordinator.Advance(kBetweenNotices);
  EXPECT_EQ(told.states().back(), "running");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  coordinator.Advance(kBetweenNotices);
  const std::vector<std::string> states = told.states();
  EXPECT_EQ(states.back(), "done");
  EXPECT_EQ(std::count(states.begin(), states.end(), "done"), 1);
  EXPECT_EQ(told.jobs_done().back(), kProbeJobs + kGoldenJobs + kTrialJobs);

  EXPECT_FALSE(coordinator.Control(id, Coordinator::Command::kPause).ok());
  coordinator.Advance(absl::Minutes(1));
  EXPECT_EQ(told.states(), states);
}

TEST(Watch, TellsAtMostFourTimesASecondAndLeavesTheNewestOutNever) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  coordinator.Advance(kBetweenNotices);
  Told told;
  coordinator->Watch(id, told.Watcher());
  for (const LeasedJob& job : grant->jobs) {  // all at one time
    ASSERT_TRUE(worker.Answer(*grant, job).ok());
  }
  EXPECT_LE(told.states().size(), 2u);
  coordinator.Advance(kBetweenNotices - absl::Milliseconds(1));
  EXPECT_LE(told.states().size(), 2u);
  coordinator.Advance(absl::Milliseconds(1));
  EXPECT_EQ(told.jobs_done().back(), coordinator.Snapshot(id).jobs_done);
}

TEST(Watch, OfWhatHasEndedTellsItsStateOnce) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit();
  ASSERT_TRUE(coordinator.Control(id, Coordinator::Command::kCancel).ok());
  Told told;
  coordinator->Watch(id, told.Watcher());
  coordinator.Advance(absl::Minutes(1));
  EXPECT_THAT(told.states(), ElementsAre("cancelled"));
}

TEST(Watch, OfAnUnknownCampaignIsNotFound) {
  TestCoordinator coordinator;
  Told told;
  coordinator->Watch("none", told.Watcher());
  coordinator->counters();
  EXPECT_THAT(told.states(), ElementsAre("NOT_FOUND"));
}

TEST(Watch, TellsNothingOfOtherCampaignsNorAfterUnwatch) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit(kSmallCampaign, "1");
  const std::string other = coordinator.Submit(kSmallCampaign, "2");
  coordinator.Advance(kBetweenNotices);
  Told told;
  const int64_t watcher = coordinator->Watch(id, told.Watcher());
  ASSERT_TRUE(coordinator.Control(other, Coordinator::Command::kPause).ok());
  coordinator.Advance(kBetweenNotices);
  EXPECT_THAT(told.states(), ElementsAre("probing"));
  coordinator->Unwatch(watcher);
  ASSERT_TRUE(coordinator.Control(id, Coordinator::Command::kPause).ok());
  coordinator.Advance(kBetweenNotices);
  EXPECT_THAT(told.states(), ElementsAre("probing"));
}

TEST(Watch, EndsWithTheCoordinator) {
  TestCoordinator coordinator;
  Told told;
  coordinator->Watch(coordinator.Submit(), told.Watcher());
  coordinator->Stop();
  EXPECT_THAT(told.states(), ElementsAre("probing", "UNAVAILABLE"));
}

}  // namespace
}  // namespace bitquake
