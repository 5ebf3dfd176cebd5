#include "common/stats/threshold_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/stats/threshold.h"

namespace bitquake {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

absl::Status Check(const SearchProblem& problem, absl::Span<const MeasuredRate> by_rate) {
  const std::vector<double>& grid = problem.log10_ber;
  if (grid.empty()) {
    return absl::InvalidArgumentError("a search has no rates");
  }
  for (size_t i = 0; i < grid.size(); ++i) {
    if (!std::isfinite(grid[i]) || (i > 0 && grid[i] <= grid[i - 1])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "log10 BER ", grid[i], " of a search is not finite, or not above the one before"));
    }
  }
  for (size_t i = 0; i < by_rate.size(); ++i) {
    const MeasuredRate& m = by_rate[i];
    if (m.rate < 0 || m.rate >= static_cast<int>(grid.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("measured rate ", m.rate, " is outside of the grid's ", grid.size()));
    }
    if (i > 0 && m.rate == by_rate[i - 1].rate) {
      return absl::InvalidArgumentError(absl::StrCat("rate ", m.rate, " is measured twice"));
    }
    const bool has_interval = std::isfinite(m.interval.low) && std::isfinite(m.interval.high);
    if (!(m.trials > 0) || !std::isfinite(m.mean_loss) ||
        (problem.resolve_interval && !has_interval)) {
      return absl::InvalidArgumentError(
          absl::StrCat("rate ", m.rate,
                       " was measured without trials, mean loss or, where the search needs it, "
                       "its interval"));
    }
  }
  return absl::OkStatus();
}

// A non-decreasing curve through the measured rates.
struct Curve {
  std::vector<int> rates;
  std::vector<double> fit;
};

template <typename Value>
Curve Fit(absl::Span<const MeasuredRate> by_rate, Value value) {
  Curve curve;
  std::vector<double> values;
  std::vector<double> weights;
  for (const MeasuredRate& m : by_rate) {
    curve.rates.push_back(m.rate);
    values.push_back(value(m));
    weights.push_back(m.trials);
  }
  curve.fit = IsotonicFit(values, weights);
  return curve;
}

Bracket Bracketed(const Curve& curve, double loss, int grid_size) {
  const auto above = std::lower_bound(curve.fit.begin(), curve.fit.end(), loss);
  const auto i = static_cast<size_t>(above - curve.fit.begin());
  return {i == 0 ? -1 : curve.rates[i - 1], above == curve.fit.end() ? grid_size : curve.rates[i]};
}

}  // namespace

absl::StatusOr<SearchPlan> PlanSearch(const SearchProblem& problem,
                                      absl::Span<const MeasuredRate> measured) {
  std::vector<MeasuredRate> by_rate(measured.begin(), measured.end());
  std::sort(by_rate.begin(), by_rate.end(),
            [](const MeasuredRate& a, const MeasuredRate& b) { return a.rate < b.rate; });
  absl::Status status = Check(problem, by_rate);
  if (!status.ok()) {
    return status;
  }
  const int size = static_cast<int>(problem.log10_ber.size());
  const Curve mean = Fit(by_rate, [](const MeasuredRate& m) { return m.mean_loss; });
  Curve upper = mean;
  Curve lower = mean;
  if (problem.resolve_interval) {
    upper = Fit(by_rate, [](const MeasuredRate& m) { return m.interval.high; });
    lower = Fit(by_rate, [](const MeasuredRate& m) { return m.interval.low; });
  }
  SearchPlan plan;
  std::set<int> next;
  for (double loss : problem.losses) {
    const Bracket at_mean = Bracketed(mean, loss, size);
    // The upper end of the mean's interval reaches the limit first: the threshold's lower end.
    const Bracket at_low = Bracketed(upper, loss, size);
    const Bracket at_high = Bracketed(lower, loss, size);
    bool done = true;
    for (const Bracket& bracket : {at_mean, at_low, at_high}) {
      if (!bracket.IsTight()) {
        done = false;
        next.insert(bracket.below + (bracket.above - bracket.below) / 2);
      }
    }
    const auto at = [&](int rate) { return problem.log10_ber[static_cast<size_t>(rate)]; };
    const Interval interval = {at_low.below < 0 ? -kInfinity : at(at_low.below),
                               at_high.above == size ? kInfinity : at(at_high.above)};
    plan.states.push_back({loss, at_mean, interval, done});
  }
  plan.next.assign(next.begin(), next.end());
  return plan;
}

int TypicalSearchRates(const SearchProblem& problem, double half_width) {
  constexpr double kCollapse = 85;  // percentage points
  constexpr double kPerDecade = 5;  // steepness of the logistic curve
  if (problem.log10_ber.empty()) {
    return 0;
  }
  const double middle = (problem.log10_ber.front() + problem.log10_ber.back()) / 2;
  std::vector<MeasuredRate> measured;
  for (;;) {
    const absl::StatusOr<SearchPlan> plan = PlanSearch(problem, measured);
    if (!plan.ok() || plan->next.empty()) {
      return static_cast<int>(measured.size());
    }
    for (const int rate : plan->next) {
      const double x = problem.log10_ber[static_cast<size_t>(rate)] - middle;
      const double loss = kCollapse / (1 + std::exp(-kPerDecade * x));
      measured.push_back({rate, 1, loss, {loss - half_width, loss + half_width}});
    }
  }
}

}  // namespace bitquake
