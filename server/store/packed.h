// Numbers as a BLOB holds them: each as its little-endian bytes, one after the other.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/model/attention_distance.h"

namespace bitquake {

template <typename T>
std::string Pack(const std::vector<T>& numbers) {
  static_assert(std::is_arithmetic_v<T>);
  std::string bytes(numbers.size() * sizeof(T), '\0');
  if (!numbers.empty()) {
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
  }
  return bytes;
}

// Bytes after the last whole number are left out.
template <typename T>
std::vector<T> Unpack(absl::string_view bytes) {
  static_assert(std::is_arithmetic_v<T>);
  std::vector<T> numbers(bytes.size() / sizeof(T));
  if (!numbers.empty()) {
    std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(T));
  }
  return numbers;
}

// Head by head: as it is, renormalised.
inline std::string PackSums(const AttentionDistances& distances) {
  std::vector<double> numbers;
  for (const HeadDistance& head : distances.sums) {
    numbers.push_back(head.mad);
    numbers.push_back(head.renormalised);
  }
  return Pack(numbers);
}

inline AttentionDistances UnpackSums(int64_t heads, absl::string_view bytes) {
  const std::vector<double> numbers = Unpack<double>(bytes);
  AttentionDistances distances{static_cast<int>(heads), {}};
  for (size_t i = 0; i + 1 < numbers.size(); i += 2) {
    distances.sums.push_back({numbers[i], numbers[i + 1]});
  }
  return distances;
}

}  // namespace bitquake
