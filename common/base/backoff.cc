#include "common/base/backoff.h"

#include <algorithm>
#include <random>

namespace bitquake {

Backoff::Backoff(BackoffOptions options, uint64_t seed) : options_(options), state_(seed) {}

absl::Duration Backoff::Next(absl::Duration window) {
  const absl::Duration ceiling = std::min(
      options_.max, options_.first * static_cast<double>(uint64_t{1} << std::min(attempts_, 40)));
  const bool first = attempts_++ == 0;
  std::mt19937_64 random(state_);
  state_ = random();
  std::uniform_real_distribution<double> part(0.0, 1.0);
  const absl::Duration wait = ceiling * (1.0 - 0.5 * part(random));
  return first ? wait + window * part(random) : wait;
}

}  // namespace bitquake
