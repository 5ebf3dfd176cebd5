// Resampling with replacement, the same on every machine.
//
//   Resampler resampler(seed);
//   for (uint32_t r = 0; r < kResamples; ++r) {
//     const std::vector<uint32_t>& words = resampler.Draw(r, trials);
//     // ... values[Resampler::Index(words[j], trials)] for j = 0, ..., trials - 1
//   }
//
// Draws that share a resample and a size share their indices: so values that belong to the same
// trials stay paired.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace bitquake {

inline constexpr int kDefaultResamples = 5000;

// How bootstrap intervals are computed.
struct BootstrapOptions {
  double confidence = 0.95;           // in (0, 1)
  int resamples = kDefaultResamples;  // at least 1
  uint64_t seed = 0;                  // the campaign's
};

class Resampler {  // thread-compatible
 public:
  explicit Resampler(uint64_t seed)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)} {}

  // Words j = 0, ..., count - 1 of resample `resample`: word j mod 4 of Philox at counter (j / 4,
  // resample, "boot", 0), keyed by the seed's low and high words. Valid until the next call.
  const std::vector<uint32_t>& Draw(uint32_t resample, int64_t count);

  // Uniform over 0, ..., size - 1; the bias is below size / 2^32.
  static size_t Index(uint32_t word, size_t size) {
    return static_cast<size_t>((uint64_t{word} * size) >> 32);
  }

 private:
  const uint32_t key_[2];
  std::vector<uint32_t> words_;
};

// Of a percentile interval: the share of replicates below its low end. It is wider than
// (1 - confidence) / 2 by just so much that the percentile interval of a mean of `n` normal values
// is Student's: Phi(-sqrt(n / (n - 1)) t). Plain percentiles cover too little of few trials
// (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician
// 69(4), section 5.3: the expanded percentile interval). NaN for n < 2.
double ExpandedTail(int64_t n, double confidence);

// Quantile (type 7) of sorted values that may be infinite. Between a finite and an infinite one
// there is no interpolation: the one further out is taken, below for `q` under one half.
double ExtendedQuantile(absl::Span<const double> sorted, double q);

}  // namespace bitquake
