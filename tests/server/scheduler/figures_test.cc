// What the coordinator says of itself, for metrics: the truth about jobs, leases, workers and work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// Two cells and two folds as in kSmallCampaign, with many trials: 800 trial jobs.
constexpr char kManyTrials[] =
    "name: many\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model]\n"
    "ber: [1e-6, 1e-3]\ntrials: 200\nfolds: 2\n";
constexpr int64_t kManyJobs = kProbeJobs + kGoldenJobs + 800;
constexpr double kImagesPerJob = 4.5;  // kFoldImages

CoordinatorFigures Figures(TestCoordinator& coordinator) {
  Pending<CoordinatorFigures> reply;
  coordinator->Figures(reply.Callback());
  absl::StatusOr<CoordinatorFigures> figures = reply.Get();
  EXPECT_TRUE(figures.ok()) << figures.status();
  return figures.ok() ? *std::move(figures) : CoordinatorFigures();
}

// Answers a lease of trials, each with so many images run.
void AnswerTrials(TestWorker& worker, const LeaseGrant& trials, int64_t inferences) {
  for (const LeasedJob& job : trials.jobs) {
    TrialOutcomeReport outcome = TestWorker::RightTrial(trials, job);
    outcome.inferences = inferences;
    ASSERT_TRUE(worker.Report(trials, outcome).ok());
  }
  ASSERT_TRUE(worker.Report(trials, LeaseEnd{}).ok());
}

TEST(Figures, CountJobsThatNoWorkerHasAsReady) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit(kManyTrials);
  CoordinatorFigures now = Figures(coordinator);
  ASSERT_THAT(now.campaigns, SizeIs(1));
  EXPECT_EQ(now.campaigns[0].snapshot.id, id);
  EXPECT_EQ(now.campaigns[0].jobs_ready, kProbeJobs) << "what else there is, the probe will say";
  EXPECT_EQ(now.leases, 0);

  TestWorker worker(&coordinator, "w");
  const auto trials = worker.WorkUntil(JobKind::kTrials);
  const auto leased = static_cast<int64_t>(trials->jobs.size());
  now = Figures(coordinator);
  EXPECT_EQ(now.campaigns[0].snapshot.jobs_leased, leased);
  EXPECT_EQ(now.campaigns[0].snapshot.jobs_done, kProbeJobs + kGoldenJobs);
  EXPECT_EQ(now.campaigns[0].jobs_ready, kManyJobs - kProbeJobs - kGoldenJobs - leased);
  EXPECT_EQ(now.leases, 1);

  AnswerTrials(worker, *trials, 1);
  now = Figures(coordinator);
  EXPECT_EQ(now.campaigns[0].jobs_ready, kManyJobs - kProbeJobs - kGoldenJobs - leased);
  EXPECT_EQ(now.leases, 0);
}

TEST(Figures, ReadyWorkIsWhatAWorkerOfTheMeanSpeedNeeds) {
  TestCoordinator coordinator;
  coordinator.Submit(kManyTrials);
  EXPECT_FALSE(Figures(coordinator).campaigns[0].ready_work.has_value()) << "nobody measured it";

  TestWorker first(&coordinator, "first");
  const auto trials = first.WorkUntil(JobKind::kTrials);
  // As fast as a clock that stands still: what was done so far says nothing of the speed.
  EXPECT_FALSE(Figures(coordinator).campaigns[0].ready_work.has_value());
  const int64_t run = 5 * static_cast<int64_t>(trials->jobs.size());
  coordinator.Advance(absl::Seconds(2));
  AnswerTrials(first, *trials, 5);
  const double speed = static_cast<double>(run) / 2;  // images a second
  const CampaignFigures alone = Figures(coordinator).campaigns[0];
  ASSERT_TRUE(alone.ready_work.has_value());
  EXPECT_NEAR(absl::ToDoubleSeconds(*alone.ready_work),
              static_cast<double>(alone.jobs_ready) * kImagesPerJob / speed, 1e-6);

  // The scheduler's truth: from that speed it gives 20 s of work.
  const auto next = first.Lease();
  const CampaignFigures after = Figures(coordinator).campaigns[0];
  const double leased = absl::ToDoubleSeconds(*alone.ready_work - *after.ready_work);
  EXPECT_NEAR(leased, 20, kImagesPerJob / speed) << "to a job";
  EXPECT_EQ(alone.jobs_ready - after.jobs_ready, static_cast<int64_t>(next->jobs.size()));

  // Another worker, three times as fast: the mean is twice the first one's speed.
  TestWorker second(&coordinator, "second");
  const auto others = second.Lease();
  const int64_t images = kFoldImages[others->jobs[0].fold];
  coordinator.Advance(
      absl::Seconds(static_cast<double>(images * others->jobs.size()) / (3 * speed)));
  AnswerTrials(second, *others, images);
  const CampaignFigures both = Figures(coordinator).campaigns[0];
  EXPECT_NEAR(absl::ToDoubleSeconds(*both.ready_work),
              static_cast<double>(both.jobs_ready) * kImagesPerJob / (2 * speed), 1e-6);
}

TEST(Figures, CampaignsThatEndedDropOut) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit(kSmallCampaign, "first");
  worker.WorkToEnd();
  const std::string cancelled = coordinator.Submit(kSmallCampaign, "second");
  const std::string open = coordinator.Submit(kSmallCampaign, "third");
  ASSERT_TRUE(coordinator.Control(cancelled, Coordinator::Command::kCancel).ok());
  const CoordinatorFigures now = Figures(coordinator);
  ASSERT_THAT(now.campaigns, SizeIs(1));
  EXPECT_EQ(now.campaigns[0].snapshot.id, open);
  EXPECT_EQ(now.counters.outcomes, kProbeJobs + kGoldenJobs + kTrialJobs);
}

TEST(Figures, AreOfTheFirstCampaignsWhereThereAreMany) {
  TestCoordinator coordinator;
  std::vector<std::string> ids;
  for (int i = 0; i < CoordinatorFigures::kMostCampaigns + 3; ++i) {
    ids.push_back(coordinator.Submit(kSmallCampaign, std::to_string(i)));
  }
  const CoordinatorFigures now = Figures(coordinator);
  ASSERT_THAT(now.campaigns, SizeIs(CoordinatorFigures::kMostCampaigns));
  for (size_t i = 0; i < now.campaigns.size(); ++i) {
    EXPECT_EQ(now.campaigns[i].snapshot.id, ids[i]);
  }
}

TEST(Figures, TellLiveWorkersFromGoneAndQuarantinedOnes) {
  TestCoordinator coordinator;
  TestWorker gone(&coordinator, "gone");
  TestWorker liar(&coordinator, "liar");
  coordinator.Submit();
  const auto grant = liar.Lease();
  FailureReport failure;
  failure.jobs = {grant->jobs[0].job};
  failure.error = "canary";
  failure.untrusted = true;
  ASSERT_TRUE(liar.Report(*grant, failure).ok());
  coordinator.Advance(SchedulerOptions().lease + absl::Seconds(1));
  TestWorker live(&coordinator, "live");
  const CoordinatorFigures now = Figures(coordinator);
  EXPECT_EQ(now.workers_live, 1);
  EXPECT_EQ(now.workers_gone, 1);
  EXPECT_EQ(now.workers_quarantined, 1);
  EXPECT_EQ(now.counters.failures, 1);
}

TEST(Figures, CountJobsThatWereSetAside) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  for (auto grant = worker.WorkUntil(JobKind::kTrials); grant != nullptr; grant = worker.Lease()) {
    ASSERT_TRUE(worker.Fail(*grant, "no memory").ok());
    coordinator.Advance(absl::Minutes(1));
  }
  const CoordinatorFigures now = Figures(coordinator);
  EXPECT_EQ(now.counters.poisoned, kTrialJobs);
  EXPECT_THAT(now.campaigns, IsEmpty()) << "done, with jobs set aside";
}

// Two outcomes share a transaction, and the disk has no space for one of them.
TEST(Figures, CountWhatWasCommittedAndNoMore) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit(kManyTrials);
  const auto trials = worker.WorkUntil(JobKind::kTrials);
  ASSERT_GE(trials->jobs.size(), 2u);
  coordinator.Restart(/*spare_pages=*/2);
  absl::Notification held;
  absl::Notification release;
  coordinator->ListWorkers([&](const absl::StatusOr<std::vector<WorkerSnapshot>>&) {
    held.Notify();
    release.WaitForNotification();
  });
  held.WaitForNotification();
  Pending<bool> replies[2];
  for (int i = 0; i < 2; ++i) {
    TrialOutcomeReport outcome = TestWorker::RightTrial(*trials, trials->jobs[i]);
    outcome.flips_per_bit.assign(i == 0 ? 8 : 100'000, 1);  // the second one does not fit
    outcome.flips = outcome.flips_wanted = static_cast<int64_t>(outcome.flips_per_bit.size());
    coordinator->Report({worker.id(), trials->campaign, trials->lease, outcome},
                        [reply = replies[i].Callback()](const absl::Status& status) {
                          status.ok() ? reply(true) : reply(status);
                        });
  }
  release.Notify();
  EXPECT_TRUE(replies[0].Get().ok());
  EXPECT_EQ(replies[1].Get().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 1);
  EXPECT_EQ(coordinator->counters().outcomes, 1);
  EXPECT_EQ(coordinator->counters().images, kFoldImages[trials->jobs[0].fold]);
}

}  // namespace
}  // namespace bitquake
