// A bit for each item of a list, packed into bytes: item i is bit i % 8 (0 = least significant) of
// byte i / 8. The bits after the last item are 0.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace bitquake {

class Bitmap {
 public:
  Bitmap() = default;  // of no items
  explicit Bitmap(int64_t items) : items_(items), bytes_((items + 7) / 8, '\0') {}
  // Errors: InvalidArgument if `bytes` are not those of a bitmap of so many items.
  static absl::StatusOr<Bitmap> FromBytes(int64_t items, std::string bytes);

  void Set(int64_t item) {
    bytes_[item / 8] = static_cast<char>(bytes_[item / 8] | 1 << (item % 8));
  }
  bool Get(int64_t item) const { return (bytes_[item / 8] >> (item % 8) & 1) != 0; }

  int64_t items() const { return items_; }
  int64_t Count() const;  // bits that are 1
  const std::string& bytes() const { return bytes_; }

 private:
  int64_t items_ = 0;
  std::string bytes_;
};

inline bool operator==(const Bitmap& a, const Bitmap& b) {
  return a.items() == b.items() && a.bytes() == b.bytes();
}

}  // namespace bitquake
