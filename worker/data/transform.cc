#include "worker/data/transform.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

// Weights are integers of 22 fractional bits: 8 bits of pixel and 2 of headroom fill the rest of an
// int32.
constexpr int kFractionBits = 32 - 8 - 2;

// Part of one axis: output positions [first, first + count) of a resize from `from` to `to` pixels.
struct Axis {
  int from;
  int to;
  int first;
  int count;
};

// For each output position of an axis, the run of input positions that it sums, and their weights.
struct Taps {
  struct Run {
    int first;
    int count;
  };
  int width;  // weights kept per position
  std::vector<Run> runs;
  std::vector<int32_t> weights;

  const int32_t* WeightsOf(int position) const { return &weights[size_t(position) * width]; }
};

double Support(Filter filter) { return filter == Filter::kBicubic ? 2.0 : 1.0; }

// Keys's cubic convolution kernel with a = -0.5, or the triangle.
double Kernel(Filter filter, double x) {
  x = std::fabs(x);
  if (filter == Filter::kBilinear) {
    return x < 1.0 ? 1.0 - x : 0.0;
  }
  constexpr double a = -0.5;
  if (x < 1.0) {
    return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  }
  return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

int32_t ToFixedPoint(double weight) {
  const double scaled = weight * (1 << kFractionBits);
  return static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

// Antialias: when shrinking, the kernel is stretched to cover the input pixels of an output pixel.
Taps ComputeTaps(const Axis& axis, Filter filter) {
  const double scale = static_cast<double>(axis.from) / axis.to;
  const double stretch = std::max(scale, 1.0);
  const double support = Support(filter) * stretch;
  Taps taps;
  taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.runs.resize(axis.count);
  taps.weights.resize(size_t(axis.count) * taps.width);
  std::vector<double> weights(taps.width);
  for (int i = 0; i < axis.count; ++i) {
    const double center = (axis.first + i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int last = std::min(static_cast<int>(center + support + 0.5), axis.from);
    double sum = 0;
    for (int x = first; x < last; ++x) {
      weights[x - first] = Kernel(filter, (x - center + 0.5) * (1.0 / stretch));
      sum += weights[x - first];
    }
    for (int x = 0; x < last - first; ++x) {
      taps.weights[size_t(i) * taps.width + x] =
          ToFixedPoint(sum != 0 ? weights[x] / sum : weights[x]);
    }
    taps.runs[i] = {first, last - first};
  }
  return taps;
}

uint8_t RoundToPixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// The given rows of `image`, resized along x. Rows keep their numbers less `first_row`.
Image ResizeRows(const Image& image, const Axis& axis, int first_row, int rows, Filter filter) {
  Image out{axis.count, rows, std::vector<uint8_t>(size_t{3} * axis.count * rows)};
  const size_t stride = size_t{3} * image.width;
  const uint8_t* input = &image.rgb[first_row * stride];
  uint8_t* output = out.rgb.data();
  if (axis.from == axis.to) {
    for (int y = 0; y < rows; ++y, output += size_t{3} * axis.count) {
      std::copy_n(input + y * stride + size_t{3} * axis.first, size_t{3} * axis.count, output);
    }
    return out;
  }
  const Taps taps = ComputeTaps(axis, filter);
  for (int y = 0; y < rows; ++y) {
    for (int i = 0; i < axis.count; ++i, output += 3) {
      const uint8_t* pixel = input + y * stride + size_t{3} * taps.runs[i].first;
      const int32_t* weights = taps.WeightsOf(i);
      int32_t r = kHalf, g = kHalf, b = kHalf;
      for (int k = 0; k < taps.runs[i].count; ++k, pixel += 3) {
        r += weights[k] * pixel[0];
        g += weights[k] * pixel[1];
        b += weights[k] * pixel[2];
      }
      output[0] = RoundToPixel(r);
      output[1] = RoundToPixel(g);
      output[2] = RoundToPixel(b);
    }
  }
  return out;
}

// `image` resized along y. Its row 0 is row `first_row` of the input that `taps` speak of.
Image ResizeColumns(const Image& image, const Taps& taps, int first_row) {
  const int height = static_cast<int>(taps.runs.size());
  const size_t stride = size_t{3} * image.width;
  Image out{image.width, height, std::vector<uint8_t>(stride * height)};
  std::vector<int32_t> sums(stride);
  for (int i = 0; i < height; ++i) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int k = 0; k < taps.runs[i].count; ++k) {
      const uint8_t* row = &image.rgb[(taps.runs[i].first - first_row + k) * stride];
      const int32_t weight = taps.WeightsOf(i)[k];
      for (size_t x = 0; x < stride; ++x) {
        sums[x] += weight * row[x];
      }
    }
    std::transform(sums.begin(), sums.end(), &out.rgb[i * stride], RoundToPixel);
  }
  return out;
}

// The resized image's part that both axes ask for: each pixel as if all had been computed.
Image ResizePart(const Image& image, const Axis& x, const Axis& y, Filter filter) {
  if (y.from == y.to) {
    return ResizeRows(image, x, y.first, y.count, filter);
  }
  const Taps taps = ComputeTaps(y, filter);
  const int first_row = taps.runs.front().first;
  const int rows = taps.runs.back().first + taps.runs.back().count - first_row;
  return ResizeColumns(ResizeRows(image, x, first_row, rows, filter), taps, first_row);
}

struct Size {
  int64_t width;
  int64_t height;
};

// The size to which timm's eval transform resizes before its crop.
Size ResizedSize(const Image& image, const Preprocessing& p) {
  const double target_width = std::floor(p.width / p.crop_pct);
  const double target_height = std::floor(p.height / p.crop_pct);
  if (p.crop_mode == "squash") {
    return {static_cast<int64_t>(target_width), static_cast<int64_t>(target_height)};
  }
  if (target_width == target_height) {  // torchvision's Resize of the shorter side
    const int64_t side = static_cast<int64_t>(target_width);
    return image.width <= image.height ? Size{side, side * image.height / image.width}
                                       : Size{side * image.width / image.height, side};
  }
  // timm's ResizeKeepRatio; Python rounds halves to even, as nearbyint does.
  const double ratio = std::min(image.height / target_height, image.width / target_width);
  return {static_cast<int64_t>(std::nearbyint(image.width / ratio)),
          static_cast<int64_t>(std::nearbyint(image.height / ratio))};
}

// torchvision's CenterCrop along one axis: the middle `crop` of `resized` pixels, or all of them in
// the middle of `crop` zeros.
struct Crop {
  int from;   // first resized position that is kept
  int to;     // its position in the output
  int count;  // kept
};

Crop CenterCrop(int resized, int crop) {
  if (crop > resized) {
    return {0, (crop - resized) / 2, resized};
  }
  return {static_cast<int>(std::nearbyint((resized - crop) / 2.0)), 0, crop};
}

absl::StatusOr<Filter> FilterByName(const std::string& name) {
  if (name == "bicubic") {
    return Filter::kBicubic;
  }
  if (name == "bilinear") {
    return Filter::kBilinear;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("interpolation '", name, "' is not supported; bicubic and bilinear are"));
}

}  // namespace

absl::Status CheckPreprocessing(const Preprocessing& p) {
  if (p.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("a model input of ", p.channels, " channels is not supported; 3 are (RGB)"));
  }
  if (p.crop_mode != "center" && p.crop_mode != "squash") {
    return absl::InvalidArgumentError(
        absl::StrCat("crop_mode '", p.crop_mode, "' is not supported; center and squash are"));
  }
  constexpr int kMaxSide = 1 << 14;
  if (p.width < 1 || p.height < 1 || p.width > kMaxSide || p.height > kMaxSide) {
    return absl::InvalidArgumentError(absl::StrCat("a model input of ", p.height, " x ", p.width,
                                                   " pixels; 1 to ", kMaxSide,
                                                   " a side are supported"));
  }
  const double least = std::min(p.width, p.height);
  if (!(p.crop_pct >= 0.01 && p.crop_pct <= least)) {
    return absl::InvalidArgumentError(absl::StrCat("crop_pct ", p.crop_pct,
                                                   " is not supported; 0.01 to ", least,
                                                   " is (1.0 keeps the whole side)"));
  }
  return FilterByName(p.interpolation).status();
}

Image Resize(const Image& image, int width, int height, Filter filter) {
  return ResizePart(image, {image.width, width, 0, width}, {image.height, height, 0, height},
                    filter);
}

absl::StatusOr<std::vector<uint8_t>> Preprocess(const Image& image,
                                                const Preprocessing& preprocessing) {
  RETURN_IF_ERROR(CheckPreprocessing(preprocessing));
  ASSIGN_OR_RETURN(const Filter filter, FilterByName(preprocessing.interpolation));
  const Size resized = ResizedSize(image, preprocessing);
  if (std::max(resized.width, resized.height) > kMaxImagePixels) {
    return absl::InvalidArgumentError(
        absl::StrCat("image of ", image.width, " x ", image.height,
                     " pixels is too long and thin: it would be resized to ", resized.width, " x ",
                     resized.height));
  }
  const Crop x = CenterCrop(static_cast<int>(resized.width), preprocessing.width);
  const Crop y = CenterCrop(static_cast<int>(resized.height), preprocessing.height);
  const Image part =
      ResizePart(image, {image.width, static_cast<int>(resized.width), x.from, x.count},
                 {image.height, static_cast<int>(resized.height), y.from, y.count}, filter);

  const size_t plane = size_t(preprocessing.width) * preprocessing.height;
  std::vector<uint8_t> planar(3 * plane, 0);
  const uint8_t* pixel = part.rgb.data();
  for (int row = 0; row < y.count; ++row) {
    uint8_t* out = &planar[size_t(y.to + row) * preprocessing.width + x.to];
    for (int column = 0; column < x.count; ++column, pixel += 3, ++out) {
      out[0] = pixel[0];
      out[plane] = pixel[1];
      out[2 * plane] = pixel[2];
    }
  }
  return planar;
}

}  // namespace bitquake
