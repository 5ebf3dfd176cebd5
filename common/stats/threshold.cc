#include "common/stats/threshold.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

absl::Status Check(const LossCurve& curve) {
  if (curve.log10_ber.empty() || curve.log10_ber.size() != curve.losses.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a loss curve has ", curve.log10_ber.size(), " rates and losses at ",
                     curve.losses.size(), "; it must have one or more, and losses at each"));
  }
  for (size_t i = 0; i < curve.log10_ber.size(); ++i) {
    if (!std::isfinite(curve.log10_ber[i]) ||
        (i > 0 && curve.log10_ber[i] <= curve.log10_ber[i - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("log10 BER ", curve.log10_ber[i],
                       " of a loss curve is not finite, or not above the one before"));
    }
    const auto defined = [](double loss) { return std::isfinite(loss); };
    if (curve.losses[i].empty() ||
        !std::all_of(curve.losses[i].begin(), curve.losses[i].end(), defined)) {
      return absl::InvalidArgumentError(
          absl::StrCat("losses at log10 BER ", curve.log10_ber[i], " are none, or not all finite"));
    }
  }
  return absl::OkStatus();
}

// Where the lines between the points (log10_ber, fit) first reach `loss`. `fit` does not decrease.
double FirstReach(absl::Span<const double> log10_ber, absl::Span<const double> fit, double loss) {
  const auto above = std::lower_bound(fit.begin(), fit.end(), loss);
  if (above == fit.end()) {
    return kInfinity;
  }
  const auto i = static_cast<size_t>(above - fit.begin());
  if (fit[i] == loss) {
    return log10_ber[i];
  }
  if (i == 0) {
    return -kInfinity;
  }
  const double part = (loss - fit[i - 1]) / (fit[i] - fit[i - 1]);
  return log10_ber[i - 1] + part * (log10_ber[i] - log10_ber[i - 1]);
}

// Means over the trials that `times` takes (trial t times[t] times), and the thresholds that they
// give. A rate of which no trial was taken is no point of the fit.
class ResampledFit {
 public:
  explicit ResampledFit(const LossCurve& curve) : curve_(curve) {}

  void Take(absl::Span<const int> times) {
    log10_ber_.clear();
    means_.clear();
    weights_.clear();
    for (size_t i = 0; i < curve_.losses.size(); ++i) {
      const std::vector<double>& losses = curve_.losses[i];
      double sum = 0;
      double taken = 0;
      for (size_t t = 0; t < losses.size(); ++t) {
        sum += times[t] * losses[t];
        taken += times[t];
      }
      if (taken > 0) {
        log10_ber_.push_back(curve_.log10_ber[i]);
        means_.push_back(sum / taken);
        weights_.push_back(taken);
      }
    }
    fit_ = IsotonicFit(means_, weights_);
  }

  double Threshold(double loss) const { return FirstReach(log10_ber_, fit_, loss); }

 private:
  const LossCurve& curve_;
  std::vector<double> log10_ber_;
  std::vector<double> means_;
  std::vector<double> weights_;
  std::vector<double> fit_;
};

}  // namespace

std::vector<double> IsotonicFit(absl::Span<const double> values, absl::Span<const double> weights) {
  struct Pool {
    double mean;
    double weight;
    size_t count;
  };
  std::vector<Pool> pools;
  for (size_t i = 0; i < values.size(); ++i) {
    Pool pool = {values[i], weights[i], 1};
    while (!pools.empty() && pools.back().mean >= pool.mean) {
      const Pool& left = pools.back();
      const double weight = left.weight + pool.weight;
      // From the left mean on: pools of equal means keep exactly that mean.
      pool = {left.mean + (pool.mean - left.mean) * (pool.weight / weight), weight,
              left.count + pool.count};
      pools.pop_back();
    }
    pools.push_back(pool);
  }
  std::vector<double> fit;
  fit.reserve(values.size());
  for (const Pool& pool : pools) {
    fit.insert(fit.end(), pool.count, pool.mean);
  }
  return fit;
}

absl::StatusOr<std::vector<Threshold>> FindThresholds(const LossCurve& curve,
                                                      absl::Span<const double> losses,
                                                      const BootstrapOptions& options) {
  absl::Status status = Check(curve);
  if (!status.ok()) {
    return status;
  }
  size_t trials = 0;
  size_t fewest = curve.losses[0].size();
  for (const std::vector<double>& at_rate : curve.losses) {
    trials = std::max(trials, at_rate.size());
    fewest = std::min(fewest, at_rate.size());
  }
  ResampledFit fit(curve);
  std::vector<int> times(trials, 1);
  fit.Take(times);
  std::vector<Threshold> thresholds;
  for (double loss : losses) {
    thresholds.push_back({loss, fit.Threshold(loss), {kUndefined, kUndefined}});
  }
  if (fewest < 2) {
    return thresholds;
  }
  Resampler resampler(options.seed);
  std::vector<std::vector<double>> replicates(losses.size());
  for (int r = 0; r < options.resamples; ++r) {
    std::fill(times.begin(), times.end(), 0);
    for (uint32_t word : resampler.Draw(static_cast<uint32_t>(r), static_cast<int64_t>(trials))) {
      ++times[Resampler::Index(word, trials)];
    }
    fit.Take(times);
    for (size_t i = 0; i < losses.size(); ++i) {
      replicates[i].push_back(fit.Threshold(losses[i]));
    }
  }
  const double tail = ExpandedTail(static_cast<int64_t>(fewest), options.confidence);
  for (size_t i = 0; i < losses.size(); ++i) {
    std::sort(replicates[i].begin(), replicates[i].end());
    thresholds[i].interval = {ExtendedQuantile(replicates[i], tail),
                              ExtendedQuantile(replicates[i], 1 - tail)};
  }
  return thresholds;
}

}  // namespace bitquake
