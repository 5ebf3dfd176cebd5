// Made-up trials with known means, for tests of coverage. Values are losses in percentage points.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace bitquake {

using Generator = std::mt19937_64;

struct OutcomeDistribution {
  std::string name;
  double mean;
  double deviation;
  std::function<double(Generator*)> draw;
};

inline double Uniform(Generator* generator) {
  return std::uniform_real_distribution<double>(0, 1)(*generator);
}

// The share lost of 200 images, each lost with probability `p`.
inline OutcomeDistribution BinomialOutcomes(double p) {
  constexpr int kImages = 200;
  std::vector<double> below;  // P(at most k lost)
  double sum = 0;
  for (int k = 0; k <= kImages; ++k) {
    sum += std::exp(std::lgamma(kImages + 1) - std::lgamma(k + 1) - std::lgamma(kImages - k + 1) +
                    k * std::log(p) + (kImages - k) * std::log1p(-p));
    below.push_back(sum);
  }
  return {"binomial, " + std::to_string(100 * p).substr(0, 4) + "% of 200 images", 100 * p,
          100 * std::sqrt(p * (1 - p) / kImages), [below](Generator* generator) {
            const auto at = std::lower_bound(below.begin(), below.end() - 1, Uniform(generator));
            return 100.0 * static_cast<double>(at - below.begin()) / kImages;
          }};
}

// One trial in fifty loses 60 pp, the others next to nothing.
inline OutcomeDistribution RareCollapse() {
  constexpr double kShare = 0.02;
  constexpr double kCollapse = 60;
  OutcomeDistribution calm = BinomialOutcomes(0.005);
  const double gap = kCollapse - calm.mean;
  return {
      "bimodal, 2% of trials lose 60 pp", calm.mean + kShare * gap,
      std::sqrt(kShare * (1 - kShare) * gap * gap + (1 - kShare) * calm.deviation * calm.deviation),
      [draw = calm.draw](Generator* generator) {
        return Uniform(generator) < kShare ? kCollapse : draw(generator);
      }};
}

// Student's t with three degrees of freedom around 10 pp, cut 30 pp away.
inline OutcomeDistribution HeavyTail() {
  return {"heavy tail, t of 3 degrees", 10, std::sqrt(3), [](Generator* generator) {
            return 10 + std::clamp(std::student_t_distribution<double>(3)(*generator), -30.0, 30.0);
          }};
}

// Exponential: small losses are the most frequent ones.
inline OutcomeDistribution SkewedOutcomes() {
  return {"skewed, exponential", 3, 3, [](Generator* generator) {
            return std::exponential_distribution<double>(1.0 / 3)(*generator);
          }};
}

// exp(2 z), at most 80 pp: half of the trials lose under 1 pp, the mean is made by few.
inline OutcomeDistribution SkewedHeavyTail() {
  static constexpr double kSigma = 2;
  static constexpr double kMost = 80;
  const auto phi = [](double z) { return std::erfc(-z / std::sqrt(2)) / 2; };
  const auto moment = [&](int k) {
    const double cut = std::log(kMost) / kSigma;
    return std::exp(k * k * kSigma * kSigma / 2) * phi(cut - k * kSigma) +
           std::pow(kMost, k) * phi(-cut);
  };
  const double mean = moment(1);
  return {"skewed heavy tail, log-normal", mean, std::sqrt(moment(2) - mean * mean),
          [](Generator* generator) {
            std::normal_distribution<double> normal;
            return std::min(kMost, std::exp(kSigma * normal(*generator)));
          }};
}

}  // namespace bitquake
