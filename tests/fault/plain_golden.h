// Golden's words as plain vectors.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/fault/golden_words.h"
#include "common/fault/number_format.h"

namespace bitquake {

class PlainGolden : public GoldenWords {
 public:
  PlainGolden(NumberFormat format, std::vector<QuantizedTensor> tensors)
      : format_(format), tensors_(std::move(tensors)) {}

  uint32_t Word(int tensor, int64_t index) const override { return tensors_[tensor].words[index]; }
  float Scale(int tensor, int64_t index) const override { return tensors_[tensor].ScaleOf(index); }
  // Found anew at every call.
  ValueRange Range(int tensor) const override {
    ValueRange range;
    bool any = false;
    const QuantizedTensor& words = tensors_[tensor];
    for (size_t i = 0; i < words.words.size(); ++i) {
      const float value =
          Dequantize(words.words[i], words.ScaleOf(static_cast<int64_t>(i)), format_);
      if (std::isnan(value)) {
        continue;
      }
      if (!any || value < range.low) {
        range.low = value;
        range.low_word = words.words[i];
      }
      if (!any || value > range.high) {
        range.high = value;
        range.high_word = words.words[i];
      }
      any = true;
    }
    return range;
  }

 private:
  NumberFormat format_;
  std::vector<QuantizedTensor> tensors_;
};

}  // namespace bitquake
