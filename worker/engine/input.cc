#include "worker/engine/input.h"

#include <cstring>

#include "worker/engine/host_memory.h"

namespace bitquake {

InputMaker::InputMaker(const Preprocessing& preprocessing, at::Device device, at::ScalarType type)
    : device_(device), type_(type), height_(preprocessing.height), width_(preprocessing.width) {
  for (size_t channel = 0; channel < value_.size(); ++channel) {
    const float mean = static_cast<float>(preprocessing.mean[channel]);
    const float std = static_cast<float>(preprocessing.std[channel]);
    for (int pixel = 0; pixel < 256; ++pixel) {
      value_[channel][pixel] = (static_cast<float>(pixel) / 255.0f - mean) / std;
    }
  }
  at::Tensor table = at::empty({static_cast<int64_t>(value_.size()), 256}, at::kFloat);
  std::memcpy(table.mutable_data_ptr(), value_.data(), table.nbytes());
  table_ = table.to(device_, type_);
}

at::Tensor InputMaker::Make(absl::Span<const uint8_t* const> pixels, int chunk) const {
  return device_.is_cpu() ? MakeOnHost(pixels, chunk).to(type_)
                          : FromPixels(UploadPixels(pixels, chunk));
}

at::Tensor InputMaker::UploadPixels(absl::Span<const uint8_t* const> pixels, int chunk) const {
  const auto channels = static_cast<int64_t>(value_.size());
  const int64_t image = channels * height_ * width_;
  const at::Tensor host = HostTensor({chunk, channels, height_, width_}, at::kByte, device_);
  auto* out = host.mutable_data_ptr<uint8_t>();
  for (int i = 0; i < chunk; ++i, out += image) {
    if (i < static_cast<int>(pixels.size())) {
      std::memcpy(out, pixels[i], image);
    } else {
      std::memset(out, 0, image);
    }
  }
  return Upload(host, device_);
}

at::Tensor InputMaker::FromPixels(const at::Tensor& pixels) const {
  at::Tensor input = at::empty(pixels.sizes(), table_.options());
  for (int64_t channel = 0; channel < pixels.size(1); ++channel) {
    const at::Tensor places = pixels.select(1, channel).to(at::kInt);
    input.select(1, channel)
        .copy_(table_[channel].index_select(0, places.flatten()).view(places.sizes()));
  }
  return input;
}

at::Tensor InputMaker::MakeOnHost(absl::Span<const uint8_t* const> pixels, int chunk) const {
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
