// Two digests. SHA-256 names files (it equals `sha256sum`, and what model hubs print) and keys the
// fault streams; XXH3 (128 bits) proves that results and words are what they were, at memory speed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

using Sha256Bytes = std::array<uint8_t, 32>;

Sha256Bytes Sha256(absl::string_view bytes);
std::string Sha256Hex(absl::string_view bytes);
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

std::string ToHex(absl::string_view bytes);

// A running XXH3-128. Thread-compatible.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;

  void Update(const void* data, size_t size);

  // A number as its little-endian bytes.
  template <typename T>
  void UpdateValue(T value) {
    static_assert(std::is_arithmetic_v<T>);
    Update(&value, sizeof(value));
  }

  // The text with its length before it, so that neighbours cannot run together.
  void UpdateText(absl::string_view text);

  // 32 hexadecimal digits (canonical, big-endian form); may be asked at any time.
  std::string Hex() const;
  // The number that the first 16 of them write.
  uint64_t First64() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Xxh3Hex(absl::string_view bytes);

}  // namespace bitquake
