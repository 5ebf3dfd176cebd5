// Values from the bytes of a fuzz input, for targets whose subject takes no text. Whatever is asked
// for is there: after the end, zeros.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace bitquake {

class InputBytes {
 public:
  InputBytes(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }

  template <typename T>
  T Take() {
    T value = {};
    const absl::string_view bytes = TakeBytes(sizeof(T));
    if (!bytes.empty()) {
      std::memcpy(&value, bytes.data(), bytes.size());
    }
    return value;
  }

  bool TakeBool() { return (Take<uint8_t>() & 1) != 0; }

  // In 0..count - 1, by one byte.
  int TakeIndex(size_t count) { return static_cast<int>(Take<uint8_t>() % count); }

  // Up to the next zero byte.
  std::string TakeText() {
    const size_t end = std::min(left_.find('\0'), left_.size());
    std::string text(TakeBytes(end));
    TakeBytes(1);
    return text;
  }

  // As many as there are, at most `size`.
  absl::string_view TakeBytes(size_t size) {
    const absl::string_view taken = left_.substr(0, size);
    left_.remove_prefix(taken.size());
    return taken;
  }

 private:
  absl::string_view left_;
};

}  // namespace bitquake
