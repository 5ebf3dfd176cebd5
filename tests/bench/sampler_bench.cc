// What a trial's faults cost: seconds on one core, and the flips drawn.
#include <chrono>
#include <cstdio>
#include <string>

#include "common/fault/distinct_bits.h"
#include "common/fault/sampler.h"

namespace {

void Measure(const char* title, int64_t bits, int tensors, double ber) {
  constexpr int kBitsPerWord = 8;
  const bitquake::FaultSampler sampler(/*seed=*/2418);
  double best = 1e9;
  int64_t words_hit = 0;
  for (uint32_t trial = 0; trial < 5; ++trial) {
    const auto start = std::chrono::steady_clock::now();
    words_hit = 0;
    for (int tensor = 0; tensor < tensors; ++tensor) {
      const std::string name = "tensor." + std::to_string(tensor);
      words_hit +=
          sampler.Sample({name, bits / kBitsPerWord / tensors, kBitsPerWord}, trial, ber).size();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
  }
  std::printf("%-40s %9.3f ms, %ld words hit\n", title, best * 1e3, static_cast<long>(words_hit));
}

void MeasureDistinct(const char* title, int64_t bits, int tensors, int64_t count) {
  constexpr int kBitsPerWord = 8;
  bitquake::Surface surface;
  bitquake::Target target{"model", "model", {}};
  for (int tensor = 0; tensor < tensors; ++tensor) {
    bitquake::SurfaceTensor each;
    each.name = "tensor." + std::to_string(tensor);
    each.shape = {bits / kBitsPerWord / tensors};
    target.ranges.push_back({tensor, 0, each.words()});
    surface.push_back(each);
  }
  double best = 1e9;
  int64_t flips = 0;
  for (uint32_t trial = 0; trial < 5; ++trial) {
    const auto start = std::chrono::steady_clock::now();
    flips = DrawDistinctBits(bitquake::FaultSampler(2418), surface, target, kBitsPerWord, 0xFF,
                             count, trial)
                ->flips();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
  }
  std::printf("%-40s %9.3f ms, %ld flips\n", title, best * 1e3, static_cast<long>(flips));
}

}  // namespace

int main() {
  Measure("BER 1e-9, 5 Gbit, 1 tensor", 5'000'000'000, 1, 1e-9);
  Measure("BER 1e-9, 5 Gbit, 150 tensors", 5'000'000'000, 150, 1e-9);
  Measure("BER 1e-6, 700 Mbit, 150 tensors", 700'000'000, 150, 1e-6);
  Measure("BER 1e-4, 700 Mbit, 150 tensors", 700'000'000, 150, 1e-4);
  Measure("BER 1e-2, 700 Mbit, 1 tensor", 700'000'000, 1, 1e-2);
  Measure("BER 1e-2, 700 Mbit, 150 tensors", 700'000'000, 150, 1e-2);
  MeasureDistinct("5 bits of 5 Gbit, 150 tensors", 5'000'000'000, 150, 5);
  Measure("BER 1.45e-5, 690 Mbit, 150 tensors", 690'000'000, 150, 1e-4 / 6.9);
  MeasureDistinct("10,000 bits of 690 Mbit, 150 tensors", 690'000'000, 150, 10'000);
  MeasureDistinct("1,000,000 bits of 690 Mbit, 150 tensors", 690'000'000, 150, 1'000'000);
}
