// Numbers as a BLOB holds them: each as its little-endian bytes, one after the other.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"

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

}  // namespace bitquake
