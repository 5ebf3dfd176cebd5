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
  for (const char* name : {"int4", "int8", "int16", "fp32"}) {
    const auto start = std::chrono::steady_clock::now();
    const auto tensor = bitquake::Quantize(weights, *bitquake::NumberFormat::FromName(name));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%-6s %.3f s (word 1: %u)\n", name, seconds.count(), tensor->words[1]);
  }
}
