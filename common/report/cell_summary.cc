#include "common/report/cell_summary.h"

#include <algorithm>
#include <limits>
#include <map>

#include "common/stats/estimate.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr double kConfidence = 0.95;

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
  const Interval interval =
      top1.size() > 1 ? StudentInterval(top1, kConfidence) : Interval{kUndefined, kUndefined};
  s.ci_low = interval.low;
  s.ci_high = interval.high;
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

}  // namespace

double EstimateTop1(const GoldenResult& golden, const TrialResult& trial) {
  return Estimate(golden.top1, golden.images, trial.top1, trial.golden_top1, trial.images);
}

double EstimateTop5(const GoldenResult& golden, const TrialResult& trial) {
  return Estimate(golden.top5, golden.images, trial.top5, trial.golden_top5, trial.images);
}

std::vector<CellSummary> Summarize(const std::vector<CellResult>& cells) {
  std::vector<CellSummary> summaries;
  summaries.reserve(cells.size());
  for (const CellResult& cell : cells) {
    summaries.push_back(SummarizeTrials(cell));
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
