#include "common/base/backoff.h"

#include <algorithm>
#include <random>

namespace bitquake {

Backoff::Backoff(BackoffOptions options, uint64_t seed) : options_(options), state_(seed) {}

absl::Duration Backoff::Next() {
  const absl::Duration ceiling = std::min(
      options_.max, options_.first * static_cast<double>(uint64_t{1} << std::min(attempts_, 40)));
  ++attempts_;
  std::mt19937_64 random(state_);
  state_ = random();
  return ceiling * (1.0 - 0.5 * std::uniform_real_distribution<double>(0.0, 1.0)(random));
}

}  // namespace bitquake
