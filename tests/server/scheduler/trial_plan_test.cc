// What planning costs the scheduler, by itself: with many cells it is as quick as with few.
#include "server/scheduler/trial_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/scheduler/expansion.h"
#include "server/store/migrations.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

constexpr int kTargets = 10;  // the model, three blocks, six heads

// Processor time: other work on the machine does not count.
double Seconds(const std::function<void()>& steps) {
  const std::clock_t start = std::clock();
  steps();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// A store with a campaign of so many cells, whose golden outcomes are known.
class PlannedStore {
 public:
  explicit PlannedStore(int64_t cells)
      : db_(Database::Open(folder_.Path("test.db"), Database::Mode::kReadWrite).value()) {
    EXPECT_TRUE(Migrate(db_).ok());
    std::vector<std::string> rates;
    for (int64_t i = 1; i <= cells / kTargets; ++i) {
      rates.push_back(absl::StrCat(i, "e-6"));
    }
    campaign_ = ParseCampaign(absl::StrCat("name: n\nmodels: [vit]\ndataset: set\n"
                                           "granularities: [model, block, head]\nfolds: 2\n"
                                           "images: spread\ntrials: {half_width: 0.5}\nber: [",
                                           absl::StrJoin(rates, ", "), "]\n"),
                              "test")
                    .value();
    Ok(db_.Run("BEGIN"));
    EXPECT_TRUE(AddCampaign(db_, campaign_, "request", 0, &id_).ok());
    Ok(AcceptProbe(db_, id_, "vit", TestWorker::RightProbe(LeaseGrant())));
    for (int fold = 0; fold < 2; ++fold) {
      Ok(db_.Run(
          "INSERT INTO goldens (variant, fold, job, images, top1, top5, digest, worker, "
          "device_kind, predictions, seconds) SELECT id, ?, 10 * id + ?, 200, 180, 200, 'd', "
          "'w', 'cpu', x'', 1 FROM variants",
          {fold, fold}));
    }
    EXPECT_EQ(db_.QueryInt("SELECT count(*) FROM cells")->value(), cells);
  }

  void Load() {
    auto plan = TrialPlan::Load(db_, id_, campaign_);
    ASSERT_TRUE(plan.ok()) << plan.status();
    plan_ = *std::move(plan);
    ASSERT_NE(plan_, nullptr);
  }

  // Makes jobs of so many trials, and finishes them; the time that the plan took for a trial.
  double SecondsPerTrial(int64_t trials) {
    double seconds = 0;
    int64_t finished = 0;
    while (finished < trials) {
      seconds += Seconds([&] {
        const auto made = plan_->MakeJobs(db_, 256);
        EXPECT_TRUE(made.ok() && *made) << made.status();
      });
      std::vector<std::pair<int64_t, int64_t>> ready;
      Ok(db_.ForEach("SELECT cell, trial FROM jobs WHERE cell IS NOT NULL", {},
                     [&](const Row& row) {
                       ready.emplace_back(row.Int(0), row.Int(1));
                       return absl::OkStatus();
                     }));
      Ok(db_.Run("DELETE FROM jobs WHERE cell IS NOT NULL"));
      for (const auto& [cell, trial] : ready) {
        Ok(
            db_.Run("INSERT INTO trials VALUES (?, ?, 1, 1, 200, ?, 200, 180, 200, 0, 0, 200, 1, "
                    "'[]', 'd', 0)",
                    {cell, trial, 180 - (cell * 7 + trial * 13) % 29}));
        Ok(db_.Run("UPDATE cells SET trials_done = trials_done + 1 WHERE id = ?", {cell}));
        seconds += Seconds([&, cell = cell] { Ok(plan_->TrialFinished(db_, cell)); });
        seconds += Seconds([&] { EXPECT_GE(plan_->ForecastJobs(), 0); });
        ++finished;
      }
    }
    return seconds / static_cast<double>(finished);
  }

 private:
  static void Ok(const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; }

  ScratchFolder folder_;
  Database db_;
  Campaign campaign_;
  std::string id_;
  std::unique_ptr<TrialPlan> plan_;
};

TEST(TrialPlan, WithAHundredThousandCellsATrialCostsWhatItCostsWithAThousand) {
  PlannedStore few(1'000);
  PlannedStore many(100'000);
  few.Load();
  const double load = Seconds([&] { many.Load(); });
  const double of_few = few.SecondsPerTrial(20'000);
  const double of_many = many.SecondsPerTrial(20'000);
  RecordProperty("load_seconds", absl::StrCat(load));
  RecordProperty("microseconds_per_trial_of_1000_cells", absl::StrCat(1e6 * of_few));
  RecordProperty("microseconds_per_trial_of_100000_cells", absl::StrCat(1e6 * of_many));
  printf("load %.2f s; a trial: %.1f us of 1,000 cells, %.1f us of 100,000\n", load, 1e6 * of_few,
         1e6 * of_many);
  // A look at each cell would cost a hundred times as much.
  EXPECT_LT(of_many, 5 * of_few + 50e-6);
  EXPECT_LT(of_many, 2e-3);
  EXPECT_LT(load, 20);
  // As after a restart, in the middle.
  many.Load();
  EXPECT_LT(many.SecondsPerTrial(2'000), 2e-3);
}

}  // namespace
}  // namespace bitquake
