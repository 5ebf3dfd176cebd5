#include "client/cli/forecast.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "common/campaign/folds.h"
#include "common/stats/estimate.h"
#include "common/stats/threshold_search.h"

namespace bitquake {
namespace {

constexpr double kRange = 100;  // of losses, percentage points

CountRange TrialsOfACell(const TrialDesign& design) {
  const absl::StatusOr<SequentialRule> rule = StoppingRule(design, kRange);
  return design.adaptive() && rule.ok()
             ? CountRange{rule->ForecastTrials(/*variance=*/0, /*skewness=*/0), design.max}
             : CountRange{design.max, design.max};
}

// Rates that a search measures of a target that never loses anything.
int64_t RatesIfNothingBreaks(const SearchProblem& problem) {
  std::vector<MeasuredRate> measured;
  for (;;) {
    const absl::StatusOr<SearchPlan> plan = PlanSearch(problem, measured);
    if (!plan.ok() || plan->next.empty()) {
      return static_cast<int64_t>(measured.size());
    }
    for (const int rate : plan->next) {
      measured.push_back({rate, 1, 0, {0, 0}});
    }
  }
}

std::string Count(int64_t value) {
  std::string digits = absl::StrCat(value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string Counts(const CountRange& range) {
  return range.least == range.most ? Count(range.least)
                                   : absl::StrCat(Count(range.least), " to ", Count(range.most));
}

std::string Times(double factor) {
  return absl::StrFormat(factor < 10 ? "%.1fx" : "%.0fx", factor);
}

// Of Student's interval with so many trials: the half-width for each point of deviation.
double HalfWidthPerDeviation(const TrialDesign& design, double deviation) {
  const double variance = deviation * deviation;
  return design.interval == IntervalMethod::kBernstein
             ? BernsteinHalfWidth(variance, design.max, kRange, design.confidence)
             : StudentHalfWidth(variance, design.max, design.confidence);
}

std::string FixedWidthText(const TrialDesign& design, int64_t images_per_trial,
                           const EarlierRun* earlier) {
  const std::string trials = absl::StrCat(Count(design.max), " trials");
  if (design.max < 2) {
    return "  half-width: none; one trial has no interval\n";
  }
  if (earlier != nullptr && !earlier->deviations.empty()) {
    const double median = Quantile(earlier->deviations, 0.5);
    const double worst = earlier->deviations.back();
    return absl::StrFormat(
        "  half-width: of %s +-%.2f pp in the median cell and +-%.2f pp in the worst, if trials "
        "differ as in %s\n",
        trials, HalfWidthPerDeviation(design, median), HalfWidthPerDeviation(design, worst),
        earlier->folder);
  }
  std::string text = absl::StrFormat(
      "  half-width: of %s +-%.2f pp where trials deviate by 1 pp; by how much they do is not "
      "known before they run (--like RUN takes it from an earlier run)\n",
      trials, HalfWidthPerDeviation(design, 1));
  if (images_per_trial > 0) {
    constexpr double kChanged = 0.05;
    const double deviation = 100 * std::sqrt(kChanged / static_cast<double>(images_per_trial));
    absl::StrAppendFormat(
        &text,
        "    were all trials alike and 1 image in 20 changed, images alone would make it +-%.2f "
        "pp\n",
        HalfWidthPerDeviation(design, deviation));
  }
  return text;
}

std::string AdaptiveWidthText(const TrialDesign& design, const EarlierRun* earlier) {
  std::string text = absl::StrFormat(
      "  half-width: +-%g pp at %g%% was asked for; a cell that has %s trials without it is wider "
      "and says so\n",
      design.half_width, 100 * design.confidence, Count(design.max));
  const absl::StatusOr<SequentialRule> rule = StoppingRule(design, kRange);
  if (earlier != nullptr && !earlier->deviations.empty() && rule.ok()) {
    double sum = 0;
    for (const double deviation : earlier->deviations) {
      sum += static_cast<double>(rule->ForecastTrials(deviation * deviation, /*skewness=*/0));
    }
    absl::StrAppendFormat(&text, "    that takes %.0f trials a cell, if they differ as in %s\n",
                          sum / static_cast<double>(earlier->deviations.size()), earlier->folder);
  }
  return text;
}

std::string TimeText(const CountRange& inferences, const EarlierRun* earlier) {
  if (earlier == nullptr || earlier->images_per_second <= 0) {
    return "  time: not known before a worker has run some; --like RUN takes the speed of an "
           "earlier run\n";
  }
  const auto at = [&](int64_t images) {
    return DurationText(static_cast<double>(images) / earlier->images_per_second);
  };
  return absl::StrCat("  time: ", at(inferences.least),
                      inferences.most > inferences.least ? " to " + at(inferences.most) : "",
                      absl::StrFormat(" at the %.0f images/s of ", earlier->images_per_second),
                      earlier->folder, "\n");
}

}  // namespace

Forecast MakeForecast(const Campaign& campaign, const CellCount& cells, int models,
                      std::optional<int64_t> images) {
  Forecast f;
  f.cells = {cells.stated, cells.stated};
  f.typical_cells = cells.stated;
  int64_t grid = 0;
  if (campaign.search && cells.searched > 0) {
    SearchProblem problem;
    for (const double ber : campaign.ber) {
      problem.log10_ber.push_back(std::log10(ber));
    }
    problem.losses = campaign.search->losses;
    grid = static_cast<int64_t>(campaign.ber.size());
    f.cells.least += cells.searched * RatesIfNothingBreaks(problem);
    f.typical_cells += cells.searched * TypicalSearchRates(problem, campaign.trials.half_width);
    f.cells.most += cells.searched * grid;
  }
  const CountRange of_a_cell = TrialsOfACell(campaign.trials);
  f.trials = {f.cells.least * of_a_cell.least, f.cells.most * of_a_cell.most};
  using Kind = ImageSelection::Kind;
  if (campaign.images.kind == Kind::kFirst) {
    images = images ? std::min(*images, campaign.images.count) : campaign.images.count;
  }
  if (!images.has_value() || *images <= 0) {
    return f;
  }
  f.images = *images;
  f.images_per_trial = *images;
  if (campaign.images.kind == Kind::kSpread) {
    const int folds = FoldCount(campaign.folds, *images);
    f.images_per_trial = *images * std::min<int64_t>(campaign.images.count, folds) / folds;
  }
  // Each model runs without faults in every format, and in fp32 as the reference.
  const bool has_reference =
      std::any_of(campaign.formats.begin(), campaign.formats.end(),
                  [](const NumberFormat& format) { return format.Name() == "fp32"; });
  const int64_t golden =
      *images * models * (static_cast<int64_t>(campaign.formats.size()) + (has_reference ? 0 : 1));
  f.inferences = {golden + f.trials.least * f.images_per_trial,
                  golden + f.trials.most * f.images_per_trial};
  f.full_repeats = golden + 10 * *images * (cells.stated + cells.searched * grid);
  return f;
}

std::string ForecastText(const Campaign& campaign, const Forecast& f, const EarlierRun* earlier) {
  std::string text = absl::StrCat("  cells: ", Counts(f.cells));
  if (campaign.search) {
    absl::StrAppend(&text, ", typically ", Count(f.typical_cells),
                    "; the least if nothing breaks, the most if every rate were measured");
  }
  absl::StrAppend(&text, "\n  trials: ", Counts(f.trials), "\n");
  if (f.images == 0) {
    absl::StrAppend(&text,
                    "  inferences: the data set is not on this machine; how many images it has is "
                    "seen when a worker opens it\n");
  } else {
    absl::StrAppend(&text, "  inferences: ", Counts(f.inferences), " images; a trial sees ",
                    Count(f.images_per_trial), " of ", Count(f.images), "\n");
    const auto ratio = [&](int64_t inferences) {
      return Times(static_cast<double>(f.full_repeats) / static_cast<double>(inferences));
    };
    absl::StrAppend(
        &text, "  ten full repeats of ", campaign.search ? "the whole grid" : "each cell", ": ",
        Count(f.full_repeats), " images, ", ratio(f.inferences.most),
        f.inferences.most > f.inferences.least ? " to " + ratio(f.inferences.least) : "",
        " as many\n");
  }
  absl::StrAppend(&text, campaign.trials.adaptive()
                             ? AdaptiveWidthText(campaign.trials, earlier)
                             : FixedWidthText(campaign.trials, f.images_per_trial, earlier));
  if (f.images > 0) {
    absl::StrAppend(&text, TimeText(f.inferences, earlier));
  }
  return text;
}

}  // namespace bitquake
