#include "common/stats/rank.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace bitquake {
namespace {

// NaN where one of them does not vary.
double PearsonCorrelation(absl::Span<const double> x, absl::Span<const double> y) {
  const double mean_x = Mean(x);
  const double mean_y = Mean(y);
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  if (xx == 0 || yy == 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

}  // namespace

std::vector<double> MidRanks(absl::Span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first + 1;
    while (last < order.size() && values[order[last]] == values[order[first]]) {
      ++last;
    }
    const double rank = static_cast<double>(first + 1 + last) / 2;
    for (; first < last; ++first) {
      ranks[order[first]] = rank;
    }
  }
  return ranks;
}

RankCorrelation SpearmanCorrelation(absl::Span<const double> x, absl::Span<const double> y,
                                    double confidence) {
  constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> defined_x;
  std::vector<double> defined_y;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isnan(x[i]) && !std::isnan(y[i])) {
      defined_x.push_back(x[i]);
      defined_y.push_back(y[i]);
    }
  }
  RankCorrelation result = {
      static_cast<int64_t>(defined_x.size()), kUndefined, kUndefined, {kUndefined, kUndefined}};
  if (result.n < 3) {
    return result;
  }
  result.rho = PearsonCorrelation(MidRanks(defined_x), MidRanks(defined_y));
  if (std::isnan(result.rho)) {
    return result;
  }
  const auto n = static_cast<double>(result.n);
  const double rho = result.rho;
  if (std::fabs(rho) == 1) {
    // Of n! orders two are monotone.
    result.p_value = 2 / std::tgamma(n + 1);
    return result;
  }
  const double t = std::fabs(rho) * std::sqrt((n - 2) / ((1 - rho) * (1 + rho)));
  result.p_value = 2 * boost::math::cdf(boost::math::complement(boost::math::students_t(n - 2), t));
  if (result.n > 3) {
    const double z =
        boost::math::quantile(boost::math::complement(boost::math::normal(), (1 - confidence) / 2));
    const double half_width = z * std::sqrt((1 + rho * rho / 2) / (n - 3));
    result.interval = {std::tanh(std::atanh(rho) - half_width),
                       std::tanh(std::atanh(rho) + half_width)};
  }
  return result;
}

}  // namespace bitquake
