#include "common/stats/bootstrap.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>

#include "common/base/philox.h"

namespace bitquake {

const std::vector<uint32_t>& Resampler::Draw(uint32_t resample, int64_t count) {
  constexpr uint32_t kPurpose = 0x626F6F74;  // "boot"
  words_.resize(static_cast<size_t>(count));
  for (size_t at = 0; at < words_.size(); at += 4) {
    const PhiloxCounter block =
        Philox4x32({static_cast<uint32_t>(at / 4), resample, kPurpose, 0}, {key_[0], key_[1]});
    for (size_t j = at; j < std::min(at + 4, words_.size()); ++j) {
      words_[j] = block[j - at];
    }
  }
  return words_;
}

double ExpandedTail(int64_t n, double confidence) {
  if (n < 2) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const auto count = static_cast<double>(n);
  const double t = boost::math::quantile(boost::math::students_t(count - 1), (1 - confidence) / 2);
  return boost::math::cdf(boost::math::normal(), std::sqrt(count / (count - 1)) * t);
}

double ExtendedQuantile(absl::Span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = position - static_cast<double>(below);
  if (part == 0 || sorted[below] == sorted[above]) {
    return sorted[below];
  }
  if (std::isinf(sorted[below]) || std::isinf(sorted[above])) {
    return q < 0.5 ? sorted[below] : sorted[above];
  }
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

}  // namespace bitquake
