#include "server/scheduler/trial_plan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/report/precision.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/expansion.h"
#include "server/store/result_reader.h"

namespace bitquake {
namespace {

// When a cell has trials enough. A fixed number of them is the rule whose only look is at that
// many.
absl::StatusOr<SequentialRule> RuleOf(const TrialDesign& design, double range) {
  TrialDesign rule = design;
  if (!design.adaptive()) {
    rule.interval = IntervalMethod::kStudent;  // the order of cells hangs on it, and nothing else
  }
  return StoppingRule(rule, range);
}

// Of the campaign's variants that are measured, by their ids.
absl::StatusOr<std::map<int64_t, PrecisionRule>> RulesByVariant(
    Database& db, const std::string& id, const std::vector<VariantPrecision>& precisions) {
  std::map<int64_t, PrecisionRule> rules;
  RETURN_IF_ERROR(
      db.ForEach("SELECT id, model, format FROM variants WHERE campaign = ? AND measured = 1", {id},
                 [&](const Row& row) {
                   for (const VariantPrecision& precision : precisions) {
                     if (precision.model == row.Text(1) && precision.format == row.Text(2)) {
                       rules.emplace(row.Int(0), *precision.rule);
                     }
                   }
                   return absl::OkStatus();
                 }));
  return rules;
}

// Parameters of each variant's model: what a trial costs beside one of another model.
absl::StatusOr<std::map<int64_t, double>> LoadCosts(Database& db, const std::string& id) {
  std::map<int64_t, double> costs;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT v.id, m.tensors FROM variants v JOIN models m ON m.campaign = v.campaign AND m.model "
      "= v.model WHERE v.campaign = ?",
      {id}, [&](const Row& row) {
        double parameters = 0;
        ASSIGN_OR_RETURN(const std::vector<TensorInfo> tensors,
                         TensorsFromJson(db, id, row.Text(1)));
        for (const TensorInfo& tensor : tensors) {
          double size = 1;
          for (const int64_t extent : tensor.shape) {
            size *= static_cast<double>(extent);
          }
          parameters += size;
        }
        costs[row.Int(0)] = std::max(1.0, parameters);
        return absl::OkStatus();
      }));
  return costs;
}

}  // namespace

bool IsPlanned(const Campaign& campaign) {
  return campaign.trials.adaptive() || campaign.search.has_value();
}

SearchProblem SearchProblemOf(const Campaign& campaign) {
  SearchProblem problem;
  for (const double ber : campaign.ber) {
    problem.log10_ber.push_back(std::log10(ber));
  }
  problem.losses = campaign.search->losses;
  return problem;
}

TrialPlan::TrialPlan(std::string id, const Campaign& campaign, int folds, SequentialRule stopping,
                     Rules rules)
    : id_(std::move(id)),
      campaign_(campaign),
      folds_(folds),
      folds_per_trial_(static_cast<int64_t>(FoldsOfTrial(campaign, folds, /*trial=*/0).size())),
      stopping_(stopping),
      rules_(std::move(rules)),
      allocator_(std::move(stopping), {}) {
  if (campaign_.search) {
    search_ = SearchProblemOf(campaign_);
    cells_of_a_search_ = TypicalSearchRates(search_, campaign_.trials.half_width);
  }
}

absl::StatusOr<std::unique_ptr<TrialPlan>> TrialPlan::Load(Database& db, const std::string& id,
                                                           const Campaign& campaign) {
  ASSIGN_OR_RETURN(
      const auto folds,
      db.QueryInt("SELECT json_array_length(fold_sizes) FROM campaigns WHERE id = ?", {id}));
  const int fold_count = static_cast<int>(folds.value_or(0));
  ASSIGN_OR_RETURN(const std::vector<GoldenResult> goldens, ReadGoldens(db, id, fold_count));
  ASSIGN_OR_RETURN(const auto variants,
                   db.QueryInt("SELECT count(*) FROM variants WHERE campaign = ?", {id}));
  if (fold_count == 0 || static_cast<int64_t>(goldens.size()) < variants.value_or(0)) {
    return nullptr;
  }
  ASSIGN_OR_RETURN(const std::vector<VariantPrecision> precisions,
                   PrecisionOfVariants(campaign, goldens));
  ASSIGN_OR_RETURN(Rules rules, RulesByVariant(db, id, precisions));
  ASSIGN_OR_RETURN(SequentialRule stopping, RuleOf(campaign.trials, LossRange(campaign, goldens)));
  std::unique_ptr<TrialPlan> plan(
      new TrialPlan(id, campaign, fold_count, std::move(stopping), std::move(rules)));
  ASSIGN_OR_RETURN(plan->costs_, LoadCosts(db, id));
  RETURN_IF_ERROR(plan->LoadCells(db));
  RETURN_IF_ERROR(plan->CountFirstBatches(db));
  return plan;
}

absl::Status TrialPlan::LoadCells(Database& db) {
  std::map<std::tuple<int64_t, std::string, int64_t, std::string>, int> group_of;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT c.id, c.variant, c.granularity_index, c.target, c.position, c.ber, c.trials_wanted, "
      "c.look_trials, c.look_sum, c.look_square_sum, c.look_cube_sum, c.fault FROM cells c JOIN "
      "variants v ON v.id = c.variant WHERE v.campaign = ? ORDER BY v.id, c.position",
      {id_}, [&](const Row& row) {
        Cell cell;
        cell.id = row.Int(0);
        cell.variant = row.Int(1);
        cell.wanted = row.Int(6);
        ASSIGN_OR_RETURN(const FaultModel* fault, FindFault(campaign_, row.Text(11)));
        const auto granularity = static_cast<size_t>(row.Int(2));
        if (IsSearched(campaign_, *fault, campaign_.granularities[granularity])) {
          const auto [place, added] = group_of.emplace(
              std::make_tuple(row.Int(1), row.Text(11), row.Int(2), row.Text(3)), groups_.size());
          if (added) {
            groups_.emplace_back();
            groups_.back().first_position = row.Int(4) - RateIndex(row.Double(5));
          }
          cell.rate = RateIndex(row.Double(5));
          cell.group = place->second;
        }
        AddCell(cell, {row.Int(7), row.Double(8), row.Double(9), row.Double(10)});
        return absl::OkStatus();
      }));
  for (Group& group : groups_) {
    // A search goes on in the transaction in which the last of its cells was done.
    if (group.open > 0) {
      missing_cells_ += std::max(0.0, cells_of_a_search_ - static_cast<double>(group.cells.size()));
    }
  }
  return absl::OkStatus();
}

absl::Status TrialPlan::CountFirstBatches(Database& db) {
  RETURN_IF_ERROR(db.Run("UPDATE campaigns SET planned = 1 WHERE id = ? AND planned = 0", {id_}));
  return db.changes() == 0
             ? absl::OkStatus()
             : CountJobs(db, static_cast<int64_t>(cells_.size()) * stopping_.NextLook(0));
}

absl::Status TrialPlan::CountJobs(Database& db, int64_t trials) {
  return db.Run("UPDATE campaigns SET jobs_total = jobs_total + ? WHERE id = ?",
                {trials * folds_per_trial_, id_});
}

int TrialPlan::RateIndex(double ber) const {
  const auto at = std::lower_bound(campaign_.ber.begin(), campaign_.ber.end(), ber);
  return static_cast<int>(at - campaign_.ber.begin());
}

int64_t TrialPlan::AddCell(const Cell& added, const TrialSums& sums) {
  const int64_t index = allocator_.AddCell({sums, costs_[added.variant]});
  cells_.push_back(added);
  Cell& cell = cells_.back();
  cell.done = stopping_.IsDone(sums);
  index_of_[cell.id] = index;
  if (cell.group >= 0) {
    Group& group = groups_[static_cast<size_t>(cell.group)];
    group.cells.push_back(index);
    group.open += cell.done ? 0 : 1;
  }
  if (sums.trials > 0) {
    SetForecast(cell, sums);
  }
  return index;
}

void TrialPlan::SetForecast(Cell& cell, const TrialSums& sums) {
  const int64_t first = stopping_.NextLook(0);
  if (cell.forecast == 0) {
    ++looked_cells_;
  } else {
    looked_trials_ -= cell.forecast - first;
    uncounted_trials_ -= cell.forecast - cell.counted;
  }
  cell.counted = cell.done ? sums.trials : stopping_.NextLook(sums.trials);
  const int64_t stop =
      sums.trials < 3 ? cell.counted : stopping_.ForecastTrials(sums.Variance(), sums.Skewness());
  cell.forecast = cell.done ? sums.trials : std::max(cell.counted, stop);
  looked_trials_ += cell.forecast - first;
  uncounted_trials_ += cell.forecast - cell.counted;
}

int64_t TrialPlan::ForecastJobs() const {
  const auto first = static_cast<double>(stopping_.NextLook(0));
  const double beyond_first =
      looked_cells_ > 0 ? static_cast<double>(looked_trials_) / static_cast<double>(looked_cells_)
                        : 0;
  const auto fresh = static_cast<double>(static_cast<int64_t>(cells_.size()) - looked_cells_);
  const double trials = static_cast<double>(uncounted_trials_) + fresh * beyond_first +
                        missing_cells_ * (first + beyond_first);
  return std::llround(std::max(0.0, trials) * static_cast<double>(folds_per_trial_));
}

absl::StatusOr<bool> TrialPlan::MakeJobs(Database& db, int64_t trials) {
  std::map<int64_t, std::vector<CellTrial>> by_variant;
  int64_t made = 0;
  while (made < trials) {
    const absl::optional<TrialBatch> batch = allocator_.Next();
    if (!batch.has_value()) {
      break;
    }
    Cell& cell = cells_[static_cast<size_t>(batch->cell)];
    // A plan made anew hands out batches that have their jobs already.
    if (cell.wanted >= batch->trials) {
      continue;
    }
    for (int64_t trial = cell.wanted; trial < batch->trials; ++trial) {
      by_variant[cell.variant].push_back({cell.id, static_cast<uint32_t>(trial)});
      ++made;
    }
    cell.wanted = batch->trials;
    RETURN_IF_ERROR(
        db.Run("UPDATE cells SET trials_wanted = ? WHERE id = ?", {cell.wanted, cell.id}));
  }
  for (const auto& [variant, members] : by_variant) {
    RETURN_IF_ERROR(AddTrialJobs(db, id_, variant, campaign_, folds_, members));
  }
  return made > 0;
}

absl::StatusOr<std::vector<double>> TrialPlan::Losses(Database& db, int64_t cell) {
  std::vector<double> losses;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT golden_top1, top1, images FROM trials WHERE cell = ? AND finished = 1 ORDER BY trial",
      {cell}, [&](const Row& row) {
        losses.push_back(LossPp(row.Int(0), row.Int(1), row.Int(2)));
        return absl::OkStatus();
      }));
  return losses;
}

absl::Status TrialPlan::TrialFinished(Database& db, int64_t cell_id) {
  const auto found = index_of_.find(cell_id);
  if (found == index_of_.end()) {
    return absl::InternalError(absl::StrCat("cell ", cell_id, " is not in the plan of ", id_));
  }
  ASSIGN_OR_RETURN(const auto finished,
                   db.QueryInt("SELECT trials_done FROM cells WHERE id = ?", {cell_id}));
  Cell& cell = cells_[static_cast<size_t>(found->second)];
  if (finished.value_or(0) < cell.wanted) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<double> losses, Losses(db, cell_id));
  TrialSums sums;
  for (const double loss : losses) {
    sums.Add(loss);
  }
  RETURN_IF_ERROR(
      db.Run("UPDATE cells SET look_trials = ?, look_sum = ?, look_square_sum = ?, look_cube_sum = "
             "? WHERE id = ?",
             {sums.trials, sums.sum, sums.sum_of_squares, sums.sum_of_cubes, cell_id}));
  allocator_.Update(found->second, sums);
  cell.done = stopping_.IsDone(sums);
  SetForecast(cell, sums);
  return cell.done ? CloseCell(db, found->second)
                   : CountJobs(db, stopping_.NextLook(sums.trials) - sums.trials);
}

absl::Status TrialPlan::CloseCell(Database& db, int64_t index) {
  const int number = cells_[static_cast<size_t>(index)].group;
  if (number < 0) {
    return absl::OkStatus();
  }
  Group& group = groups_[static_cast<size_t>(number)];
  return --group.open > 0 ? absl::OkStatus() : ContinueSearch(db, group);
}

absl::Status TrialPlan::ContinueSearch(Database& db, Group& group) {
  std::vector<MeasuredRate> measured;
  for (const int64_t index : group.cells) {
    const Cell& cell = cells_[static_cast<size_t>(index)];
    ASSIGN_OR_RETURN(const std::vector<double> losses, Losses(db, cell.id));
    measured.push_back({cell.rate, static_cast<double>(losses.size()), Mean(losses),
                        rules_.at(cell.variant).Of(losses, /*from_first=*/true).loss});
  }
  ASSIGN_OR_RETURN(const SearchPlan plan, PlanSearch(search_, measured));
  const auto missing = [&] {
    return std::max(0.0, cells_of_a_search_ - static_cast<double>(group.cells.size()));
  };
  missing_cells_ -= missing();
  if (plan.next.empty()) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(AddCells(db, group, plan.next));
  missing_cells_ += missing();
  return absl::OkStatus();
}

absl::Status TrialPlan::AddCells(Database& db, Group& group, const std::vector<int>& rates) {
  const Cell like = cells_[static_cast<size_t>(group.cells.front())];
  for (const int rate : rates) {
    RETURN_IF_ERROR(
        db.Run("INSERT INTO cells (variant, position, fault, granularity, granularity_index, "
               "target, bits, ber) SELECT variant, ?, fault, granularity, granularity_index, "
               "target, bits, ? FROM cells WHERE id = ?",
               {group.first_position + rate, campaign_.ber[static_cast<size_t>(rate)], like.id}));
    Cell cell;
    cell.id = db.last_insert_id();
    cell.variant = like.variant;
    cell.group = like.group;
    cell.rate = rate;
    AddCell(cell, {});
  }
  return CountJobs(db, static_cast<int64_t>(rates.size()) * stopping_.NextLook(0));
}

}  // namespace bitquake
