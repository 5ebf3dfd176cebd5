// A campaign's way from submission to its results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "server/store/result_reader.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Submit, TheSameRequestIdGivesTheSameCampaign) {
  TestCoordinator coordinator;
  const std::string first = coordinator.Submit(kSmallCampaign, "one");
  EXPECT_EQ(coordinator.Submit(kSmallCampaign, "one"), first);
  EXPECT_NE(coordinator.Submit(kSmallCampaign, "two"), first);
  coordinator.Restart();
  EXPECT_EQ(coordinator.Submit(kSmallCampaign, "one"), first);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM campaigns"), 2);
}

TEST(Campaign, GoesFromProbeToGoldenToTrialsToDone) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "probing");
  EXPECT_EQ(now.cells, 0);

  const auto probe = worker.Lease();
  ASSERT_NE(probe, nullptr);
  EXPECT_EQ(probe->kind, JobKind::kProbe);
  EXPECT_EQ(probe->model, "vit");
  EXPECT_EQ(probe->jobs.size(), 1u);
  EXPECT_EQ(probe->data_digest, "");
  EXPECT_EQ(worker.Lease(), nullptr) << "nothing else before the probe has an answer";
  EXPECT_EQ(coordinator.Snapshot(id).jobs_leased, 1);
  worker.AnswerAll(*probe);

  now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "running");
  EXPECT_EQ(now.cells, 2);
  EXPECT_EQ(now.jobs_total, kProbeJobs + kGoldenJobs + kTrialJobs);
  EXPECT_EQ(now.jobs_done, kProbeJobs);
  EXPECT_EQ(now.images_done, 0);

  int golden_jobs = 0;
  std::unique_ptr<LeaseGrant> grant = worker.Lease();
  for (; grant != nullptr && grant->kind == JobKind::kGolden; grant = worker.Lease()) {
    EXPECT_EQ(grant->data_digest, "digest of the data");
    EXPECT_EQ(grant->model_digest, "digest of vit");
    EXPECT_EQ(grant->chunk, 16);
    golden_jobs += static_cast<int>(grant->jobs.size());
    worker.AnswerAll(*grant);
  }
  EXPECT_EQ(golden_jobs, kGoldenJobs);
  EXPECT_EQ(coordinator.Snapshot(id).images_done, 2 * (kFoldImages[0] + kFoldImages[1]));

  int trial_jobs = 0;
  for (; grant != nullptr; grant = worker.Lease()) {
    EXPECT_EQ(grant->kind, JobKind::kTrials);
    EXPECT_EQ(grant->format, "int8");
    for (const LeasedJob& job : grant->jobs) {
      EXPECT_TRUE(std::any_of(grant->cells.begin(), grant->cells.end(),
                              [&](const CellSpec& cell) { return cell.cell == job.cell; }));
    }
    EXPECT_EQ(coordinator.Snapshot(id).jobs_leased, static_cast<int64_t>(grant->jobs.size()));
    trial_jobs += static_cast<int>(grant->jobs.size());
    worker.AnswerAll(*grant);
  }
  EXPECT_EQ(trial_jobs, kTrialJobs);

  now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_done, now.jobs_total);
  EXPECT_EQ(now.jobs_leased, 0);
  EXPECT_EQ(now.workers, 0);
  EXPECT_EQ(now.images_done, 6 * (kFoldImages[0] + kFoldImages[1]));
  EXPECT_GT(now.finished_unix_ms, 0);
  EXPECT_TRUE(now.has_worst);
  const CoordinatorCounters counters = coordinator->counters();
  EXPECT_EQ(counters.outcomes, now.jobs_total);
  EXPECT_EQ(counters.trials, 4);
  EXPECT_EQ(counters.duplicate_outcomes, 0);
}

TEST(Campaign, ResultsAreTheSumsOfTheOutcomes) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  std::map<std::pair<std::string, uint32_t>, TrialResult> expected;  // by rate and trial
  worker.AnswerAll(*worker.Lease());
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    for (const LeasedJob& job : grant->jobs) {
      if (grant->kind != JobKind::kTrials) {
        continue;
      }
      for (const CellSpec& cell : grant->cells) {
        if (cell.cell == job.cell) {
          const TrialOutcomeReport right = TestWorker::RightTrial(*grant, job);
          TrialResult& sum = expected[{cell.ber < 1e-5 ? "low" : "high", job.trial}];
          sum.trial = job.trial;
          sum.images += right.images;
          sum.top1 += right.top1;
          sum.top5 += right.top5;
          sum.golden_top1 += right.golden_top1;
          sum.golden_top5 += right.golden_top5;
          sum.sdc += right.sdc;
          sum.due += right.due;
          sum.flips = right.flips;  // a trial has one fault list, whatever the fold
          sum.faults_digest = right.faults_digest;
        }
      }
    }
    worker.AnswerAll(*grant);
  }

  auto db = Database::Open(coordinator.path(), Database::Mode::kReadOnly);
  ASSERT_TRUE(db.ok()) << db.status();
  const auto stored = ReadCampaign(*db, id);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->images, 9);
  EXPECT_EQ(stored->folds, 2);
  EXPECT_THAT(stored->device_kinds, ElementsAre("cpu"));
  ASSERT_EQ(stored->goldens.size(), 2u);
  for (const GoldenResult& golden : stored->goldens) {
    EXPECT_EQ(golden.images, 9) << golden.format;
    EXPECT_EQ(golden.top1, 7);
    EXPECT_EQ(golden.top5, 9);
  }
  std::vector<CellResult> cells;
  ASSERT_TRUE(ReadCells(*db, id, [&](CellResult cell) {
                cells.push_back(std::move(cell));
                return absl::OkStatus();
              }).ok());
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].key.ber, 1e-6);
  EXPECT_EQ(cells[1].key.ber, 1e-3);
  for (const CellResult& cell : cells) {
    EXPECT_EQ(cell.key.target, "model");
    EXPECT_EQ(cell.key.format, "int8");
    ASSERT_EQ(cell.trials.size(), 2u);
    for (const TrialResult& trial : cell.trials) {
      const TrialResult& sum = expected[{cell.key.ber < 1e-5 ? "low" : "high", trial.trial}];
      EXPECT_EQ(trial.images, sum.images);
      EXPECT_EQ(trial.top1, sum.top1);
      EXPECT_EQ(trial.top5, sum.top5);
      EXPECT_EQ(trial.golden_top1, sum.golden_top1);
      EXPECT_EQ(trial.golden_top5, sum.golden_top5);
      EXPECT_EQ(trial.sdc, sum.sdc);
      EXPECT_EQ(trial.due, sum.due);
      EXPECT_EQ(trial.flips, sum.flips);
      EXPECT_EQ(trial.faults_digest, sum.faults_digest);
    }
  }
}

TEST(Campaign, ATrialShowsOnlyWhenAllItsFoldsAreDone) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  auto db = Database::Open(coordinator.path(), Database::Mode::kReadOnly);
  int trials = 0;
  ASSERT_TRUE(ReadCells(*db, id, [&](const CellResult& cell) {
                trials += static_cast<int>(cell.trials.size());
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(trials, 0);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 1);
}

TEST(Campaign, WavesMakeJustTheJobsOfTheCampaign) {
  SchedulerOptions options;
  options.ready_jobs = 1;
  options.pairs_per_wave = 3;
  TestCoordinator coordinator(options);
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(
      "name: n\nmodels: [a, b]\ndataset: d\nformats: [int8, int4]\nber: [1e-6, 1e-4, 1e-2]\n"
      "granularities: [model, block]\ntrials: 3\nfolds: 2\nimages: {spread: 1}\n");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  // Two models x two formats x (the model and three blocks) x three rates.
  EXPECT_EQ(now.cells, 48);
  EXPECT_EQ(now.jobs_total, 2 + 2 * 3 * 2 + 48 * 3);
  EXPECT_EQ(now.jobs_done, now.jobs_total);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM trials WHERE finished = 1"), 48 * 3);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM jobs"), 0);
}

TEST(Campaign, AProbeOfOtherDataIsRefusedAndCounted) {
  TestCoordinator coordinator;
  TestWorker first(&coordinator, "first");
  TestWorker second(&coordinator, "second");
  const std::string id =
      coordinator.Submit("name: n\nmodels: [a, b]\ndataset: d\nber: 1e-6\nfolds: 2\n");
  first.AnswerAll(*first.Lease());
  const auto grant = second.Lease();
  ProbeOutcome probe = TestWorker::RightProbe(*grant);
  probe.data_digest = "other data";
  ASSERT_TRUE(second.Report(*grant, probe).ok());
  EXPECT_EQ(coordinator.Snapshot(id).state, "probing");
  EXPECT_EQ(coordinator->counters().digest_mismatches, 1);
  EXPECT_EQ(second.Lease(), nullptr) << "it cannot run this campaign";
  const auto again = first.Lease();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->model, "b");
  first.AnswerAll(*again);
  EXPECT_EQ(coordinator.Snapshot(id).state, "running");
}

TEST(Campaign, ASelectorThatMatchesNothingFailsItAfterTheProbe) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(
      "name: n\nmodels: [m]\ndataset: d\nber: 1e-6\ngranularities: [{block: {blocks: [3]}}]\n");
  worker.AnswerAll(*worker.Lease());
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "failed");
  EXPECT_THAT(now.error, HasSubstr("3"));
  EXPECT_EQ(now.cells, 0);
  EXPECT_EQ(worker.Lease(), nullptr);
}

TEST(Campaign, EarlierCampaignsAreServedFirst) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string first = coordinator.Submit(kSmallCampaign, "1");
  const std::string second = coordinator.Submit(kSmallCampaign, "2");
  std::vector<std::string> order;
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    if (order.empty() || order.back() != grant->campaign) {
      order.push_back(grant->campaign);
    }
    worker.AnswerAll(*grant);
  }
  EXPECT_THAT(order, ElementsAre(first, second));
}

TEST(ListCampaigns, PagesFromTheNewestOnAndLeavesNoneOut) {
  TestCoordinator coordinator;
  std::vector<std::string> newest_first;
  for (int i = 0; i < 5; ++i) {
    newest_first.insert(newest_first.begin(),
                        coordinator.Submit(kSmallCampaign, std::to_string(i)));
  }
  std::vector<std::string> listed;
  std::vector<size_t> sizes;
  int64_t before = 0;
  do {
    Pending<Coordinator::Page> reply;
    coordinator->ListCampaigns(before, /*limit=*/2, reply.Callback());
    const auto page = reply.Get();
    ASSERT_TRUE(page.ok()) << page.status();
    sizes.push_back(page->campaigns.size());
    for (const CampaignSnapshot& snapshot : page->campaigns) {
      listed.push_back(snapshot.id);
    }
    before = page->next_before;
  } while (before != 0 && sizes.size() < 10);
  EXPECT_THAT(sizes, ElementsAre(2, 2, 1));
  EXPECT_EQ(listed, newest_first);
}

TEST(GetCampaign, OfAnUnknownIdIsNotFound) {
  TestCoordinator coordinator;
  Pending<CampaignSnapshot> reply;
  coordinator->GetCampaign("none", reply.Callback());
  EXPECT_EQ(reply.Get().status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace bitquake
