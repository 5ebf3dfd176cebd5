#include "worker/data/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/data/oracle.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

TEST(DecodeImage, GivesPilsPixels) {
  ASSERT_GE(Expected()["good"].size(), 30u);
  for (const auto& [name, expected] : Expected()["good"].items()) {
    SCOPED_TRACE(name);
    const auto image = DecodeImage(OracleFile("good/" + name));
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->width, expected["width"]);
    EXPECT_EQ(image->height, expected["height"]);
    EXPECT_EQ(PixelDigest(image->rgb), expected["rgb"]);
  }
}

TEST(DecodeImage, RefusesBrokenFilesAndSaysWhy) {
  ASSERT_GE(Expected()["broken"].size(), 15u);
  for (const auto& [name, message] : Expected()["broken"].items()) {
    SCOPED_TRACE(name);
    const auto image = DecodeImage(OracleFile("broken/" + name));
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(image.status().message()), HasSubstr(message.get<std::string>()));
  }
}

TEST(DecodeImage, RefusesEveryTruncation) {
  for (const std::string name : {"1x1.jpg", "tall.jpg", "grey_alpha.png", "1_bit.png"}) {
    const std::string bytes = OracleFile("good/" + name);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(DecodeImage({bytes.data(), size}).status().code(),
                absl::StatusCode::kInvalidArgument)
          << name << " cut to " << size << " bytes";
    }
  }
}

// Not a wrong pixel: PNG carries checksums.
TEST(DecodeImage, RefusesEveryFlippedBitOfAPng) {
  const std::string bytes = OracleFile("good/1_bit.png");
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(DecodeImage(flipped).status().code(), absl::StatusCode::kInvalidArgument)
        << "bit " << bit;
  }
}

TEST(DecodeImage, SurvivesEveryFlippedBitOfAJpeg) {
  const std::string bytes = OracleFile("good/1x1.jpg");
  int refused = 0;
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= 1 << (bit % 8);
    const auto image = DecodeImage(flipped);
    refused += !image.ok();
    if (image.ok()) {
      EXPECT_EQ(image->rgb.size(), size_t{3} * image->width * image->height);
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace bitquake
