// How long the weights of a ViT-B (86 million) take to become words.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <vector>

#include "common/fault/number_format.h"

int main() {
  std::vector<float> weights(86'000'000);
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::sin(static_cast<float>(i)) * 0.05f;
  }
  const auto measure = [&](const char* name, const char* how,
                           const bitquake::Quantization& quantization) {
    const auto start = std::chrono::steady_clock::now();
    const auto tensor = bitquake::Quantize(weights, *bitquake::NumberFormat::FromName(name),
                                           quantization, {86'000, 1000});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%-10s %-16s %.3f s (word 1: %u)\n", name, how, seconds.count(), tensor->words[1]);
  };
  for (const char* name : {"int4", "int8", "int16", "fixed(2.6)", "fixed(2.30)", "fp32", "fp16",
                           "bf16", "fp8_e4m3", "fp8_e5m2"}) {
    measure(name, "", {});
  }
  using Scale = bitquake::Quantization::Scale;
  measure("int8", "per channel", {Scale::kPerChannel});
  measure("int8", "percentile 99.9", {Scale::kPerTensor, 99.9});
}
