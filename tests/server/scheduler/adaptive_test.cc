// Adaptive trials and searches: which trials and cells there are in the end follows from the
// outcomes alone, whatever happens on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "common/report/precision.h"
#include "common/stats/threshold_search.h"
#include "server/scheduler/trial_plan.h"
#include "server/store/result_reader.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::IsEmpty;

// Cells of the model and of three blocks; trials on one fold of 4 or 5 images each.
constexpr char kAdaptive[] =
    "name: adaptive\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model, block]\n"
    "ber: [1e-6, 1e-3, 1e-2]\ntrials: {min: 8, max: 30, half_width: 7}\nfolds: 2\nimages: spread\n";

constexpr char kSearch[] =
    "name: search\nmodels: [vit]\ndataset: set\nformats: [int8]\n"
    "granularities: [model, {block: {blocks: [0, 1]}}, {block: {blocks: [2], ber: [1e-4]}}]\n"
    "ber: {search: {loss: [10, 40], from: 1e-6, to: 1e-2, per_decade: 4}}\n"
    "trials: {min: 8, max: 20, half_width: 15}\nfolds: 2\nimages: spread\n";

// Two fault models whose rates are searched for, and one that has none.
constexpr char kSearchUnderFaults[] =
    "name: search\nmodels: [vit]\ndataset: set\nformats: [int8]\n"
    "granularities: [model, {block: {blocks: [0, 1]}}, {block: {blocks: [2], ber: [1e-4]}}]\n"
    "ber: {search: {loss: [10, 40], from: 1e-6, to: 1e-2, per_decade: 4}}\n"
    "trials: {min: 8, max: 20, half_width: 15}\nfolds: 2\nimages: spread\n"
    "fault: [bit_flip, {kind: bit_flip, count: 3}, stuck_at_1]\n";

// A job that fails once is set aside, and leases hold one.
SchedulerOptions OneFailurePoisons() {
  SchedulerOptions options;
  options.max_failures = 1;
  options.max_lease_jobs = 1;
  return options;
}

// What a trial loses: nothing at low rates, ever more and ever more differently above, by target.
TrialOutcomeReport Outcome(const LeaseGrant& grant, const LeasedJob& job) {
  TrialOutcomeReport trial = TestWorker::RightTrial(grant, job);
  for (const CellSpec& cell : grant.cells) {
    if (cell.cell != job.cell) {
      continue;
    }
    const auto target = static_cast<uint32_t>(std::hash<std::string>{}(cell.target));
    const double draw = Philox4x32({job.trial, target, 7, 0}, {1, 2})[0] / 4294967296.0;
    const double shift = cell.fault == "stuck_at_1" ? 0.8 : 0;
    const double strength =
        1 / (1 + std::exp(-3 * (std::log10(cell.ber) + 3.5 + shift - target % 3 * 0.3)));
    const double lost =
        std::min(1.0, strength * (0.5 + draw)) * static_cast<double>(trial.golden_top1);
    trial.top1 = trial.golden_top1 - std::lround(lost);
    trial.right_to_wrong = trial.sdc = std::lround(lost);
    trial.due = 0;
    trial.top5 = trial.top1;
    trial.faults_digest =
        absl::StrCat("faults ", cell.fault, " ", cell.target, " ", cell.ber, " ", job.trial);
  }
  return trial;
}

void AnswerAll(TestWorker& worker, const LeaseGrant& grant) {
  if (grant.kind != JobKind::kTrials) {
    worker.AnswerAll(grant);
    return;
  }
  for (const LeasedJob& job : grant.jobs) {
    ASSERT_TRUE(worker.Report(grant, Outcome(grant, job)).ok());
  }
  ASSERT_TRUE(worker.Report(grant, LeaseEnd{}).ok());
}

void WorkToEnd(TestWorker& worker) {
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    ASSERT_FALSE(grant->jobs.empty());
    AnswerAll(worker, *grant);
  }
}

struct Results {
  std::vector<GoldenResult> goldens;
  std::vector<CellResult> cells;
};

Results ReadResults(TestCoordinator& coordinator, const std::string& id) {
  Results results;
  auto db = Database::Open(coordinator.path(), Database::Mode::kReadOnly);
  EXPECT_TRUE(db.ok()) << db.status();
  const auto campaign = ReadCampaign(*db, id);
  EXPECT_TRUE(campaign.ok()) << campaign.status();
  results.goldens = campaign->goldens;
  EXPECT_TRUE(ReadCells(*db, id, [&](CellResult cell) {
                results.cells.push_back(std::move(cell));
                return absl::OkStatus();
              }).ok());
  return results;
}

// "blocks.0 0.001 #3: 0 1 2 ...": which trials each cell has.
std::vector<std::string> Shape(const Results& results) {
  std::vector<std::string> lines;
  for (const CellResult& cell : results.cells) {
    lines.push_back(absl::StrCat(cell.key.target, " ", cell.key.ber, " #", cell.number, ":"));
    for (const TrialResult& trial : cell.trials) {
      absl::StrAppend(&lines.back(), " ", trial.trial, "=", trial.top1);
    }
  }
  return lines;
}

// Of one worker that nobody disturbs; each campaign is run once.
const std::vector<std::string>& ShapeOf(const std::string& text) {
  static auto* known = new std::map<std::string, std::vector<std::string>>;
  if (known->count(text) > 0) {
    return (*known)[text];
  }
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(text);
  WorkToEnd(worker);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  return (*known)[text] = Shape(ReadResults(coordinator, id));
}

std::vector<double> LossesOf(const CellResult& cell) {
  std::vector<double> losses;
  for (const TrialResult& trial : cell.trials) {
    losses.push_back(LossPp(trial.golden_top1, trial.top1, trial.images));
  }
  return losses;
}

TEST(Adaptive, EveryCellStopsAtTheFirstLookThatIsNarrowEnoughOrAtMax) {
  for (const char* interval : {"t", "bernstein"}) {
    TestCoordinator coordinator;
    TestWorker worker(&coordinator, "w");
    const std::string text = absl::StrCat(kAdaptive, "interval: ", interval, "\n");
    const std::string id = coordinator.Submit(text);
    WorkToEnd(worker);
    const CampaignSnapshot now = coordinator.Snapshot(id);
    EXPECT_EQ(now.state, "done");
    EXPECT_EQ(now.jobs_done, now.jobs_total);
    EXPECT_EQ(now.jobs_expected, now.jobs_total);
    EXPECT_EQ(coordinator.Query("SELECT count(*) FROM jobs"), 0);
    const Results results = ReadResults(coordinator, id);
    ASSERT_EQ(results.cells.size(), 12u);
    const Campaign campaign = *ParseCampaign(text, "f");
    const auto precisions = PrecisionOfVariants(campaign, results.goldens);
    ASSERT_TRUE(precisions.ok()) << precisions.status();
    ASSERT_EQ(precisions->size(), 1u);
    const auto rule = StoppingRule(campaign.trials, LossRange(campaign, results.goldens));
    ASSERT_TRUE(rule.ok()) << rule.status();
    std::set<size_t> counts;
    int64_t jobs = kProbeJobs + kGoldenJobs;
    for (const CellResult& cell : results.cells) {
      TrialSums sums;
      std::vector<double> losses = LossesOf(cell);
      bool done = false;
      for (const double loss : losses) {
        EXPECT_FALSE(done) << "trials beyond the stop";
        sums.Add(loss);
        done = rule->IsDone(sums);
      }
      EXPECT_TRUE(done);
      EXPECT_EQ(cell.trials.back().trial, cell.trials.size() - 1);
      const CellPrecision precision = precisions->front().rule->Of(losses, /*from_first=*/true);
      EXPECT_NE(precision.stopped, Stopped::kInterim);
      EXPECT_EQ(precision.stopped == Stopped::kWidth, precision.half_width <= 7);
      counts.insert(cell.trials.size());
      jobs += static_cast<int64_t>(cell.trials.size());
    }
    EXPECT_EQ(now.jobs_total, jobs);
    EXPECT_EQ(*counts.rbegin(), 30u) << "some cells are noisy";
    EXPECT_THAT(counts, testing::SizeIs(Gt(interval[0] == 't' ? 2u : 0u)));
  }
}

TEST(Adaptive, TrialsBeginWhenAllGoldenOutcomesAreKnown) {
  TestCoordinator coordinator;
  TestWorker first(&coordinator, "first");
  TestWorker second(&coordinator, "second");
  const std::string id = coordinator.Submit(kAdaptive);
  AnswerAll(first, *first.Lease());
  std::vector<std::unique_ptr<LeaseGrant>> goldens;
  for (auto grant = first.Lease(); grant != nullptr; grant = first.Lease()) {
    ASSERT_EQ(grant->kind, JobKind::kGolden);
    goldens.push_back(std::move(grant));
  }
  for (const auto& grant : goldens) {
    EXPECT_EQ(second.Lease(), nullptr);
    EXPECT_EQ(coordinator.Snapshot(id).jobs_total, kProbeJobs + kGoldenJobs);
    EXPECT_EQ(coordinator.Snapshot(id).jobs_expected, kProbeJobs + kGoldenJobs + 12 * 8);
    EXPECT_EQ(coordinator.Snapshot(id).state, "running");
    AnswerAll(first, *grant);
  }
  const auto trials = second.Lease();
  ASSERT_NE(trials, nullptr);
  EXPECT_EQ(trials->kind, JobKind::kTrials);
  EXPECT_EQ(coordinator.Snapshot(id).jobs_total, kProbeJobs + kGoldenJobs + 12 * 8);
}

// Workers that answer in any order, lose leases, report twice; servers that restart; small waves.
class Disturbed : public testing::TestWithParam<std::tuple<const char*, int>> {};

TEST_P(Disturbed, ResultsAreThoseOfOneQuietWorker) {
  const auto [text, seed] = GetParam();
  std::mt19937 random(static_cast<uint32_t>(seed));
  SchedulerOptions options;
  options.ready_jobs = 1 + static_cast<int64_t>(random() % 30);
  options.pairs_per_wave = 1 + static_cast<int64_t>(random() % 20);
  options.max_lease_jobs = 1 + static_cast<int64_t>(random() % 16);
  options.max_losses = 1000;
  TestCoordinator coordinator(options);
  std::vector<TestWorker> workers;
  for (const char* name : {"a", "b", "c"}) {
    workers.emplace_back(&coordinator, name);
  }
  const std::string id = coordinator.Submit(text);
  std::vector<std::pair<size_t, std::unique_ptr<LeaseGrant>>> held;
  int restarts = 0;
  for (int idle = 0; idle < 20;) {
    const size_t w = random() % workers.size();
    std::unique_ptr<LeaseGrant> grant = workers[w].Lease();
    if (grant != nullptr) {
      held.emplace_back(w, std::move(grant));
    }
    idle = held.empty() ? idle + 1 : 0;
    if (held.empty() || (held.size() < 4 && grant != nullptr)) {
      continue;
    }
    std::swap(held[random() % held.size()], held.back());
    const auto [worker, lease] = std::move(held.back());
    held.pop_back();
    switch (random() % 12) {
      case 0:  // a part of it, and away
        ASSERT_TRUE(lease->kind != JobKind::kTrials ||
                    workers[worker].Report(*lease, Outcome(*lease, lease->jobs[0])).ok());
        ASSERT_TRUE(workers[worker].Report(*lease, LeaseEnd{}).ok());
        break;
      case 1:
        if (restarts++ < 10) {
          coordinator.Restart();
        }
        AnswerAll(workers[worker], *lease);
        break;
      case 2:
        AnswerAll(workers[worker], *lease);
        AnswerAll(workers[worker], *lease);
        break;
      default:
        AnswerAll(workers[worker], *lease);
    }
  }
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done") << now.error;
  EXPECT_EQ(now.jobs_done, now.jobs_total);
  EXPECT_EQ(Shape(ReadResults(coordinator, id)), ShapeOf(text));
}

INSTANTIATE_TEST_SUITE_P(Adaptive, Disturbed,
                         testing::Combine(testing::Values(kAdaptive, kSearch, kSearchUnderFaults),
                                          testing::Range(1, 5)));

TEST(Search, EachFaultModelIsSearchedByItselfAndOneWithoutRatesHasItsCells) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kSearchUnderFaults);
  WorkToEnd(worker);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  std::map<std::string, Results> by_fault;
  for (CellResult& cell : ReadResults(coordinator, id).cells) {
    by_fault[cell.key.fault].cells.push_back(std::move(cell));
  }
  ASSERT_EQ(by_fault.size(), 3u);
  EXPECT_EQ(Shape(by_fault["bit_flip"]), ShapeOf(kSearch)) << "as if it were alone";
  EXPECT_NE(by_fault["stuck_at_1"].cells.size(), by_fault["bit_flip"].cells.size())
      << "it breaks elsewhere";
  constexpr int64_t kNumbers = 3 * 17 + 1;  // of a fault model with rates
  by_fault.erase("bit_flip");
  for (const CellResult& cell : by_fault["stuck_at_1"].cells) {
    EXPECT_GE(cell.number, kNumbers + 4);
    EXPECT_LT(cell.number, 2 * kNumbers + 4);
  }
  by_fault.erase("stuck_at_1");
  std::vector<int64_t> numbers;
  for (const CellResult& cell : by_fault.begin()->second.cells) {
    numbers.push_back(cell.number);
    EXPECT_GE(cell.trials.size(), 8u);
  }
  EXPECT_THAT(numbers, ElementsAre(kNumbers, kNumbers + 1, kNumbers + 2, kNumbers + 3));
}

TEST(Adaptive, ACampaignWhoseTensorsAreDamagedPausesAndKeepsItsOutcomesWithTheWorkers) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kAdaptive);
  auto grant = worker.WorkUntil(JobKind::kGolden);
  ASSERT_NE(grant, nullptr);
  ASSERT_NO_FATAL_FAILURE(coordinator.Change("UPDATE models SET tensors = '{'"));
  absl::Status last;
  for (; grant != nullptr && last.ok(); grant = worker.Lease()) {
    for (const LeasedJob& job : grant->jobs) {
      last = worker.Answer(*grant, job);
      if (!last.ok()) {
        break;
      }
    }
  }
  EXPECT_EQ(last.code(), absl::StatusCode::kDataLoss) << last;
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "paused");
  EXPECT_THAT(now.error, HasSubstr("tensors"));
  EXPECT_EQ(worker.Lease(), nullptr);
}

TEST(Adaptive, ACellWithAPoisonedTrialGetsNoMoreAndTheRestGoesOn) {
  TestCoordinator coordinator(OneFailurePoisons());
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kAdaptive);
  std::unique_ptr<LeaseGrant> poisoned;
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    const bool hits = grant->kind == JobKind::kTrials && grant->jobs[0].trial == 3 &&
                      grant->cells[0].target == "model" && grant->cells[0].ber == 1e-3;
    if (hits) {
      ASSERT_TRUE(worker.Fail(*grant, "it burns").ok());
      ASSERT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
      poisoned = std::move(grant);
    } else {
      AnswerAll(worker, *grant);
    }
  }
  ASSERT_NE(poisoned, nullptr);
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_poisoned, 1);
  const Results results = ReadResults(coordinator, id);
  const std::vector<std::string> quiet = ShapeOf(kAdaptive);
  const std::vector<std::string> shape = Shape(results);
  ASSERT_EQ(shape.size(), quiet.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    if (results.cells[i].key.target == "model" && results.cells[i].key.ber == 1e-3) {
      EXPECT_EQ(results.cells[i].trials.size(), 7u) << "its first batch, but for the poisoned one";
    } else {
      EXPECT_EQ(shape[i], quiet[i]);
    }
  }
  // Its outcome comes after all: it is taken, and the campaign stays as it ended.
  ASSERT_TRUE(worker.Report(*poisoned, Outcome(*poisoned, poisoned->jobs[0])).ok());
  EXPECT_EQ(coordinator.Snapshot(id).jobs_poisoned, 0);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator.Snapshot(id).jobs_done, coordinator.Snapshot(id).jobs_total);
}

TEST(Adaptive, APoisonedTrialWhoseOutcomeComesAfterAllLetsItsCellGoOn) {
  TestCoordinator coordinator(OneFailurePoisons());
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kAdaptive);
  std::unique_ptr<LeaseGrant> poisoned;
  int left = 40;
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    if (grant->kind == JobKind::kTrials && poisoned == nullptr) {
      ASSERT_TRUE(worker.Fail(*grant, "it burns").ok());
      poisoned = std::move(grant);
    } else {
      AnswerAll(worker, *grant);
    }
    if (poisoned != nullptr && --left == 0) {
      ASSERT_TRUE(worker.Report(*poisoned, Outcome(*poisoned, poisoned->jobs[0])).ok());
    }
  }
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator.Snapshot(id).jobs_poisoned, 0);
  EXPECT_EQ(Shape(ReadResults(coordinator, id)), ShapeOf(kAdaptive));
}

// A request that fails leaves no trace in the store, so the plan must forget it as well: batches
// that it took, and looks that it counted.
TEST(Adaptive, WhatARequestThatFailsDidIsDoneAgain) {
  SchedulerOptions options;
  options.ready_jobs = 1;
  options.pairs_per_wave = 12;
  options.max_lease_jobs = 12;
  TestCoordinator coordinator(options);
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kAdaptive);
  auto db = Database::Open(coordinator.path(), Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  const auto refuse = [&](const std::string& what) {
    ASSERT_TRUE(db->RunScript(absl::StrCat("CREATE TRIGGER refuse BEFORE ", what,
                                           " BEGIN SELECT RAISE(ABORT, 'refused'); END"))
                    .ok());
  };
  int refused = 0;
  for (int64_t step = 0;; ++step) {
    refuse("INSERT ON leases");
    const auto lost = worker.AskForLease(1'000'000 + step, absl::ZeroDuration()).Get();
    refused += lost.ok() ? 0 : 1;
    ASSERT_TRUE(db->RunScript("DROP TRIGGER refuse").ok());
    const std::unique_ptr<LeaseGrant> grant = worker.Lease();
    if (grant == nullptr) {
      break;
    }
    if (grant->kind == JobKind::kTrials) {
      refuse("UPDATE OF images_without_flips, images_copied ON campaigns");
      for (const LeasedJob& job : grant->jobs) {
        EXPECT_FALSE(worker.Report(*grant, Outcome(*grant, job)).ok());
      }
      ASSERT_TRUE(db->RunScript("DROP TRIGGER refuse").ok());
    }
    AnswerAll(worker, *grant);
  }
  EXPECT_GT(refused, 10);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(Shape(ReadResults(coordinator, id)), ShapeOf(kAdaptive));
}

TEST(Adaptive, AFullDiskLosesNoBatch) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kAdaptive);
  const auto first = worker.WorkUntil(JobKind::kTrials);
  for (const int64_t spare : {0, 1, 2, 4, 8, 16}) {
    coordinator.Restart(spare);
    bool full = false;
    for (int i = 0; i < 400 && !full; ++i) {
      auto grant = worker.AskForLease(1'000'000 * (spare + 1) + i, absl::ZeroDuration()).Get();
      full = !grant.ok();
      for (size_t j = 0; !full && *grant != nullptr && j < (*grant)->jobs.size(); ++j) {
        full = !worker.Report(**grant, Outcome(**grant, (*grant)->jobs[j])).ok();
      }
      if (grant.ok() && *grant == nullptr) {
        break;
      }
    }
  }
  coordinator.Restart();
  coordinator.Advance(absl::Minutes(2));  // leases that were cut off end
  WorkToEnd(worker);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(Shape(ReadResults(coordinator, id)), ShapeOf(kAdaptive));
}

TEST(Adaptive, TheForecastIsWithinReasonAndEndsAtTheTruth) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kAdaptive);
  std::vector<CampaignSnapshot> states;
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    AnswerAll(worker, *grant);
    states.push_back(coordinator.Snapshot(id));
  }
  const int64_t total = states.back().jobs_total;
  for (const CampaignSnapshot& now : states) {
    EXPECT_GE(now.jobs_expected, now.jobs_total);
    EXPECT_LE(now.jobs_total, total);
    if (now.jobs_done > total / 2) {
      EXPECT_NEAR(static_cast<double>(now.jobs_expected), static_cast<double>(total), 0.25 * total);
    }
  }
  EXPECT_EQ(states.back().jobs_expected, total);
}

TEST(Search, MeasuresWhatTheSearchSaysAndNumbersCellsByTheGrid) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kSearch);
  WorkToEnd(worker);
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "done");
  EXPECT_EQ(now.jobs_expected, now.jobs_total);
  const Campaign campaign = *ParseCampaign(kSearch, "f");
  const SearchProblem problem = SearchProblemOf(campaign);
  const Results results = ReadResults(coordinator, id);
  const auto precisions = PrecisionOfVariants(campaign, results.goldens);
  ASSERT_TRUE(precisions.ok());
  std::map<std::string, std::map<int, const CellResult*>> measured;  // by target and rate
  const int64_t grid = static_cast<int64_t>(campaign.ber.size());
  ASSERT_EQ(grid, 17);
  for (const CellResult& cell : results.cells) {
    if (cell.key.target == "blocks.2") {
      EXPECT_EQ(cell.key.ber, 1e-4) << "it has rates of its own";
      EXPECT_EQ(cell.number, 3 * grid);
      continue;
    }
    const auto rate = static_cast<int>(
        std::find(campaign.ber.begin(), campaign.ber.end(), cell.key.ber) - campaign.ber.begin());
    ASSERT_LT(rate, grid);
    const int64_t target = cell.key.target == "model" ? 0 : cell.key.target == "blocks.0" ? 1 : 2;
    EXPECT_EQ(cell.number, target * grid + rate);
    measured[cell.key.target][rate] = &cell;
  }
  ASSERT_EQ(measured.size(), 3u);
  for (const auto& [target, cells] : measured) {
    // Asked step by step, the search wants these rates and no others.
    std::vector<MeasuredRate> known;
    for (;;) {
      const auto plan = PlanSearch(problem, known);
      ASSERT_TRUE(plan.ok()) << plan.status();
      if (plan->next.empty()) {
        break;
      }
      for (const int rate : plan->next) {
        ASSERT_EQ(cells.count(rate), 1u) << target << " " << rate;
        const std::vector<double> losses = LossesOf(*cells.at(rate));
        known.push_back({rate, static_cast<double>(losses.size()), Mean(losses),
                         precisions->front().rule->Of(losses, true).loss});
      }
    }
    EXPECT_EQ(known.size(), cells.size()) << target;
    EXPECT_LT(cells.size(), campaign.ber.size()) << target;
    EXPECT_GT(cells.size(), 3u) << target;
  }
}

TEST(Search, TakesFixedTrialsToo) {
  std::string text = kSearch;
  text.replace(text.find("{min: 8, max: 20, half_width: 15}"),
               std::string("{min: 8, max: 20, half_width: 15}").size(), "3\ninterval: bca");
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(text);
  WorkToEnd(worker);
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  const Results results = ReadResults(coordinator, id);
  EXPECT_THAT(results.cells, testing::SizeIs(Gt(8u)));
  for (const CellResult& cell : results.cells) {
    EXPECT_EQ(cell.trials.size(), 3u);
  }
}

TEST(Search, StopsAtAPoisonedTargetOnly) {
  TestCoordinator coordinator(OneFailurePoisons());
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit(kSearch);
  bool failed = false;
  for (auto grant = worker.Lease(); grant != nullptr; grant = worker.Lease()) {
    if (!failed && grant->kind == JobKind::kTrials && grant->cells[0].target == "model") {
      failed = true;
      ASSERT_TRUE(worker.Fail(*grant, "it burns").ok());
    } else {
      AnswerAll(worker, *grant);
    }
  }
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  const std::vector<std::string> shape = Shape(ReadResults(coordinator, id));
  std::vector<std::string> expected = ShapeOf(kSearch);
  const auto of_model = [](const std::string& line) { return line.substr(0, 6) == "model "; };
  EXPECT_EQ(std::count_if(shape.begin(), shape.end(), of_model), 1);
  expected.erase(std::remove_if(expected.begin(), expected.end(), of_model), expected.end());
  EXPECT_EQ(std::vector<std::string>(shape.begin() + 1, shape.end()), expected);
}

}  // namespace
}  // namespace bitquake
