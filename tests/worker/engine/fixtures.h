// Models and images that the engine's tests share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "common/model/snapshot.h"
#include "tests/model/test_snapshot.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {

// Of a TestVit, TestSwin, TestDeepVit.
template <typename Network>
ModelSnapshot RandomSnapshot(const Network& network, uint32_t seed) {
  auto snapshot = OpenSnapshot(WriteSnapshot(ConfigJson(network), RandomTensors(network, seed)));
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  return *std::move(snapshot);
}

// Random images with random labels, and their pixels.
struct TestImages {
  std::vector<std::vector<uint8_t>> pixels;
  FoldImages fold;

  template <typename Network>
  TestImages(const Network& network, int images, uint32_t seed = 1, int number = 0) {
    std::mt19937 random(seed);
    fold.fold = number;
    for (int i = 0; i < images; ++i) {
      std::vector<uint8_t> image(3 * network.image * network.image);
      for (uint8_t& pixel : image) {
        pixel = static_cast<uint8_t>(random() >> 24);
      }
      pixels.push_back(std::move(image));
      fold.labels.push_back(static_cast<int>(random() % network.classes));
    }
    for (const auto& image : pixels) {
      fold.pixels.push_back(image.data());
    }
  }
};

inline NumberFormat Format(const char* name) { return NumberFormat::FromName(name).value(); }

// On the CPU in fp32, or where and as BITQUAKE_TEST_DEVICE and BITQUAKE_TEST_COMPUTE say.
inline EvaluatorOptions Options(const char* format, int chunk = 4, int threads = 2) {
  EvaluatorOptions options;
  if (const char* device = std::getenv("BITQUAKE_TEST_DEVICE")) {
    options.device = device;
  }
  if (const char* compute = std::getenv("BITQUAKE_TEST_COMPUTE")) {
    options.compute = compute;
  }
  options.format = Format(format);
  options.chunk = chunk;
  options.threads = threads;
  return options;
}

inline std::unique_ptr<TorchEvaluator> MakeEvaluator(const ModelSnapshot& snapshot,
                                                     const EvaluatorOptions& options,
                                                     const EvaluatorTuning& tuning = {}) {
  auto evaluator = TorchEvaluator::Create(snapshot, options, tuning);
  EXPECT_TRUE(evaluator.ok()) << evaluator.status();
  return *std::move(evaluator);
}

inline bool Never() { return false; }

// `flips` random words of the tensors first..last of the surface, each with a random mask.
inline FaultList RandomFaults(const ModelSnapshot& snapshot, NumberFormat format, int first,
                              int last, int words_per_tensor, uint32_t seed) {
  std::mt19937 random(seed);
  const uint32_t bits = format.bits == 32 ? ~0u : (1u << format.bits) - 1;
  FaultList faults;
  for (int tensor = first; tensor <= last; ++tensor) {
    std::map<int64_t, uint32_t> masks;
    for (int i = 0; i < words_per_tensor; ++i) {
      const int64_t word = random() % snapshot.surface[tensor].words();
      masks[word] = (1u << (random() % format.bits)) & bits;
    }
    TensorFaults hit{tensor, {}};
    for (const auto& [word, mask] : masks) {
      hit.faults.push_back({word, mask});
    }
    faults.tensors.push_back(std::move(hit));
  }
  return faults;
}

// Every count and digest of an outcome, for comparisons.
inline std::vector<int64_t> Counts(const TrialOutcome& o) {
  return {o.id,  o.images,         o.top1,           o.top5, o.golden_top1, o.golden_top5,
          o.sdc, o.right_to_wrong, o.wrong_to_right, o.due,  o.flips,       o.inferences};
}

}  // namespace bitquake
