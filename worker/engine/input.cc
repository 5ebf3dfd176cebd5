#include "worker/engine/input.h"

namespace bitquake {

InputMaker::InputMaker(const Preprocessing& preprocessing)
    : height_(preprocessing.height), width_(preprocessing.width) {
  for (size_t channel = 0; channel < value_.size(); ++channel) {
    const float mean = static_cast<float>(preprocessing.mean[channel]);
    const float std = static_cast<float>(preprocessing.std[channel]);
    for (int pixel = 0; pixel < 256; ++pixel) {
      value_[channel][pixel] = (static_cast<float>(pixel) / 255.0f - mean) / std;
    }
  }
}

at::Tensor InputMaker::Make(absl::Span<const uint8_t* const> pixels, int chunk) const {
  at::Tensor input =
      at::empty({chunk, static_cast<int64_t>(value_.size()), height_, width_}, at::kFloat);
  float* out = input.mutable_data_ptr<float>();
  const int64_t plane = height_ * width_;
  for (int image = 0; image < chunk; ++image) {
    for (size_t channel = 0; channel < value_.size(); ++channel) {
      const auto& value = value_[channel];
      const bool padding = image >= static_cast<int>(pixels.size());
      const uint8_t* in = padding ? nullptr : pixels[image] + channel * plane;
      for (int64_t i = 0; i < plane; ++i) {
        *out++ = value[padding ? 0 : in[i]];
      }
    }
  }
  return input;
}

}  // namespace bitquake
