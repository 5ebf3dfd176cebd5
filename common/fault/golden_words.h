// Golden's stored words, as protection schemes read them: what was stored before any fault.
#pragma once

#include <cstdint>

namespace bitquake {

// The smallest and the largest value of a tensor's words that is not NaN, and a word of each. Of a
// tensor without such values, 0.
struct ValueRange {
  float low = 0;
  float high = 0;
  uint32_t low_word = 0;
  uint32_t high_word = 0;
};

// Thread-safe as long as nothing is added.
class GoldenWords {
 public:
  virtual ~GoldenWords() = default;

  // `tensor` is an index into the surface, `index` that of a word.
  virtual uint32_t Word(int tensor, int64_t index) const = 0;
  virtual float Scale(int tensor, int64_t index) const = 0;
  virtual ValueRange Range(int tensor) const = 0;
};

}  // namespace bitquake
