#include "common/report/cell_summary.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/stats/estimate.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

double Percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : kUndefined;
}

// golden_all / images_all + (correct - golden_here) / images_here, over one denominator: the
// products are exact, so only the last division rounds, and a trial on all images has exactly its
// own accuracy.
double Estimate(int64_t golden_all, int64_t images_all, int64_t correct, int64_t golden_here,
                int64_t images_here) {
  if (images_all <= 0 || images_here <= 0) {
    return kUndefined;
  }
  const double all = static_cast<double>(images_all);
  const double here = static_cast<double>(images_here);
  const double numerator =
      static_cast<double>(golden_all) * here + static_cast<double>(correct - golden_here) * all;
  return 100.0 * numerator / (all * here);
}

// golden_top1 - top1_mean, from the counts: a difference of rounded means would turn no loss into
// noise.
double MeanLoss(const std::map<int64_t, int64_t>& lost_by_images, int64_t trials) {
  double sum = 0;
  for (const auto& [images, lost] : lost_by_images) {
    sum += Percent(lost, images);
  }
  return sum / static_cast<double>(trials);
}

std::string TargetGroup(const CellKey& key) {
  return absl::StrCat(key.campaign, "\n", key.model, "\n", key.format, "\n", key.fault, "\n",
                      key.granularity, "\n", key.target);
}

// The interval of the accuracy is that of the loss, seen from golden: which has no error.
const PrecisionRule& RuleOf(const CellResult& cell) {
  static const auto* student =
      new PrecisionRule(PrecisionRule::Create(FixedTrials(0), Bounds(), 0, 0).value());
  return cell.precision != nullptr ? *cell.precision : *student;
}

void SetPrecision(const CellResult& cell, CellSummary* s) {
  const TrialDesign& design = RuleOf(cell).design();
  const CellPrecision precision = PrecisionOf(cell);
  s->ci_low = s->golden_top1 - precision.loss.high;
  s->ci_high = s->golden_top1 - precision.loss.low;
  s->interval = design.interval;
  s->confidence = design.confidence;
  s->half_width_asked = design.adaptive() ? design.half_width : kUndefined;
  s->half_width_observed = precision.half_width;
  s->stopped = precision.stopped;
}

CellSummary SummarizeTrials(const CellResult& cell) {
  CellSummary s;
  s.trials = static_cast<int64_t>(cell.trials.size());
  s.golden_top1 = Percent(cell.golden.top1, cell.golden.images);
  s.golden_top5 = Percent(cell.golden.top5, cell.golden.images);
  if (cell.trials.empty()) {
    return s;
  }
  std::vector<double> top1;
  std::vector<double> top5;
  std::map<int64_t, int64_t> lost;  // by the number of images of a trial: correct ones lost
  int64_t sdc = 0;
  int64_t due = 0;
  int64_t flips = 0;
  for (const TrialResult& trial : cell.trials) {
    top1.push_back(EstimateTop1(cell.golden, trial));
    top5.push_back(EstimateTop5(cell.golden, trial));
    lost[trial.images] += trial.golden_top1 - trial.top1;
    s.images += trial.images;
    sdc += trial.sdc;
    due += trial.due;
    flips += trial.flips;
  }
  s.top1_mean = Mean(top1);
  s.top1_std = top1.size() > 1 ? StandardDeviation(top1) : kUndefined;
  SetPrecision(cell, &s);
  std::sort(top1.begin(), top1.end());
  s.top1_min = top1.front();
  s.top1_max = top1.back();
  s.top1_p05 = Quantile(top1, 0.05);
  s.top1_median = Quantile(top1, 0.5);
  s.top1_p95 = Quantile(top1, 0.95);
  s.loss_mean = MeanLoss(lost, s.trials);
  s.top5_mean = Mean(top5);
  s.sdc_rate = Percent(sdc, s.images);
  s.due_rate = Percent(due, s.images);
  s.flips_mean = static_cast<double>(flips) / static_cast<double>(s.trials);
  return s;
}

// `group` are the cells of one target. A protection scheme may leave a set at one rate, another at
// a higher one, and the first again above, so all sets of a trial count as known.
void CountInferences(const std::vector<CellResult>& cells, std::vector<size_t> group,
                     std::vector<CellSummary>* summaries) {
  std::sort(group.begin(), group.end(), [&](size_t a, size_t b) {
    return cells[a].key.ber != cells[b].key.ber ? cells[a].key.ber < cells[b].key.ber : a < b;
  });
  std::set<std::pair<uint32_t, absl::string_view>> known;  // trials, with digests of their faults
  for (const size_t i : group) {
    for (const TrialResult& trial : cells[i].trials) {
      const bool is_new = known.emplace(trial.trial, trial.faults_digest).second;
      if (trial.flips > 0 && is_new) {
        (*summaries)[i].inferences += trial.images;
      }
    }
  }
}

}  // namespace

CellPrecision PrecisionOf(const CellResult& cell) {
  const bool from_first = cell.trials.back().trial + 1 == cell.trials.size();
  return RuleOf(cell).Of(TrialLosses(cell), from_first);
}

double EstimateTop1(const GoldenResult& golden, const TrialResult& trial) {
  return Estimate(golden.top1, golden.images, trial.top1, trial.golden_top1, trial.images);
}

double EstimateTop5(const GoldenResult& golden, const TrialResult& trial) {
  return Estimate(golden.top5, golden.images, trial.top5, trial.golden_top5, trial.images);
}

std::vector<CellSummary> Summarize(const std::vector<CellResult>& cells) {
  std::vector<CellSummary> summaries;
  std::unordered_map<std::string, std::vector<size_t>> targets;
  summaries.reserve(cells.size());
  for (size_t i = 0; i < cells.size(); ++i) {
    summaries.push_back(SummarizeTrials(cells[i]));
    if (!cells[i].trials.empty()) {
      targets[TargetGroup(cells[i].key)].push_back(i);
    }
  }
  for (auto& [name, group] : targets) {
    CountInferences(cells, std::move(group), &summaries);
  }
  return summaries;
}

void AddFragility(const std::vector<CellResult>& cells, const Derivation& derivation,
                  std::vector<CellSummary>* summaries) {
  const std::vector<Fragility> fragilities = EstimateFragility(cells, derivation);
  for (size_t i = 0; i < cells.size(); ++i) {
    (*summaries)[i].fragility = fragilities[i];
  }
}

}  // namespace bitquake
