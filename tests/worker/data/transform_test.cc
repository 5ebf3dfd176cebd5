#include "worker/data/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/data/oracle.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

Image OracleImage(const std::string& name) {
  return DecodeImage(OracleFile("good/" + name)).value();
}

TEST(Resize, EqualsPilBitForBit) {
  for (const auto& [name, sizes] : Expected()["resized"].items()) {
    const Image image = OracleImage(name);
    for (const auto& expected : sizes) {
      SCOPED_TRACE(name + " " + expected.dump());
      const Filter filter = expected["filter"] == "bicubic" ? Filter::kBicubic : Filter::kBilinear;
      const Image resized = Resize(image, expected["width"], expected["height"], filter);
      EXPECT_EQ(PixelDigest(resized.rgb), expected["rgb"]);
    }
  }
}

TEST(Resize, ToTheSameSizeChangesNothing) {
  const Image image = OracleImage("color.png");
  EXPECT_EQ(Resize(image, image.width, image.height, Filter::kBicubic).rgb, image.rgb);
}

TEST(Preprocess, EqualsTimmsEvalTransformOnPil) {
  for (const auto& [name, expected] : Expected()["good"].items()) {
    const Image image = OracleImage(name);
    for (const auto& [transform, digest] : expected["transformed"].items()) {
      SCOPED_TRACE(name + ", " + transform);
      const auto pixels = Preprocess(image, OracleTransform(transform));
      ASSERT_TRUE(pixels.ok()) << pixels.status();
      EXPECT_EQ(PixelDigest(*pixels), digest);
    }
  }
}

TEST(Preprocess, MakesPlanes) {
  Image image{2, 1, {1, 2, 3, 4, 5, 6}};
  Preprocessing preprocessing;
  preprocessing.height = 1;
  preprocessing.width = 2;
  preprocessing.crop_pct = 1.0;
  EXPECT_EQ(Preprocess(image, preprocessing).value(), (std::vector<uint8_t>{1, 4, 2, 5, 3, 6}));
}

TEST(Preprocess, KeepsOneColorWhateverTheSize) {
  for (const auto& [width, height] : {std::pair{1, 1}, {3, 200}, {640, 11}}) {
    Image image{width, height, std::vector<uint8_t>(3 * width * height, 255)};
    EXPECT_THAT(Preprocess(image, OracleTransform("64")).value(), Each(255));
  }
}

TEST(Preprocess, RefusesByNameWhatItDoesNotSupport) {
  const Image image{1, 1, {0, 0, 0}};
  const auto error = [&image](auto change) {
    Preprocessing preprocessing;
    change(preprocessing);
    const auto pixels = Preprocess(image, preprocessing);
    EXPECT_EQ(pixels.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(pixels.status().message());
  };
  EXPECT_THAT(error([](auto& p) { p.channels = 1; }), HasSubstr("1 channels"));
  EXPECT_THAT(error([](auto& p) { p.crop_mode = "border"; }), HasSubstr("crop_mode 'border'"));
  EXPECT_THAT(error([](auto& p) { p.interpolation = "lanczos"; }), HasSubstr("'lanczos'"));
  EXPECT_THAT(error([](auto& p) { p.crop_pct = 0; }), HasSubstr("crop_pct 0"));
  EXPECT_THAT(error([](auto& p) { p.crop_pct = std::nan(""); }), HasSubstr("crop_pct nan"));
  EXPECT_THAT(error([](auto& p) { p.height = 0; }), HasSubstr("0 x 224"));
}

TEST(Preprocess, RefusesAnImageTooLongToResize) {
  Image image{kMaxImageSide, 1, std::vector<uint8_t>(size_t{3} * kMaxImageSide)};
  Preprocessing preprocessing;
  preprocessing.height = preprocessing.width = 4096;
  const auto pixels = Preprocess(image, preprocessing);
  EXPECT_EQ(pixels.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(pixels.status().message()),
              AllOf(HasSubstr("65535 x 1"), HasSubstr("too long and thin")));
}

}  // namespace
}  // namespace bitquake
