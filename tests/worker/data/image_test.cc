#include "worker/data/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/data/oracle.h"
#include "worker/data/image_codecs.h"

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

// A grey block, of a progressive JPEG with so many scans.
std::string JpegOfScans(int scans) {
  using namespace std::string_literals;
  const std::string quantization = "\xff\xdb\0\x43\0"s + std::string(64, '\1');
  const std::string frame = "\xff\xc2\0\x0b\x08\0\x08\0\x08\1\1\x11\0"s;
  // In both tables the code 0 is all there is: no difference, or the end of the block.
  const auto table = [](char id) {
    return "\xff\xc4\0\x14"s + id + "\1"s + std::string(15, '\0') + "\0"s;
  };
  const auto scan = [](const char* first_and_last) {
    return "\xff\xda\0\x08\1\1\0"s + std::string(first_and_last, 2) + "\0\x7f"s;
  };
  std::string jpeg = "\xff\xd8"s + quantization + frame + table('\0') + table('\x10');
  jpeg += scan("\0\0");
  for (int i = 1; i < scans; ++i) {
    jpeg += scan("\x01\x3f");
  }
  return jpeg + "\xff\xd9"s;
}

// A scan of 11 bytes costs a pass over the whole image.
TEST(DecodeImage, RefusesAJpegOfEndlesslyManyScans) {
  EXPECT_TRUE(DecodeImage(JpegOfScans(2)).ok()) << DecodeImage(JpegOfScans(2)).status();
  EXPECT_TRUE(DecodeImage(JpegOfScans(100)).ok());
  EXPECT_THAT(DecodeImage(JpegOfScans(101)).status().message(), HasSubstr("more than 100 scans"));
}

// Where it takes memory for all of the image at once.
TEST(DecodeImage, RefusesAJpegTooShortForItsSize) {
  for (const std::string name : {"420.jpg", "grey.jpg", "progressive.jpg"}) {
    std::string bytes = OracleFile("good/" + name);
    const size_t frame = bytes.find(name == "progressive.jpg" ? "\xff\xc2" : "\xff\xc0");
    ASSERT_NE(frame, std::string::npos) << name;
    bytes.replace(frame + 5, 4, "\x1f\xff\x1f\xff");
    EXPECT_THAT(DecodeImage(bytes).status().message(), HasSubstr("cannot hold 8191 x 8191 pixels"))
        << name;
  }
}

// A header is believed row by row.
TEST(RowBuffer, GrowsWithItsRowsAndKeepsThem) {
  constexpr int kHeight = 1000;
  constexpr size_t kStride = size_t{1} << 16;  // the first 256 rows at once
  RowBuffer rows(kStride, kHeight);
  for (int y = 0; y < kHeight; ++y) {
    *rows.Row(y) = static_cast<uint8_t>(y);
  }
  const std::vector<uint8_t> bytes = std::move(rows).Take();
  ASSERT_EQ(bytes.size(), kStride * kHeight);
  for (int y = 0; y < kHeight; ++y) {
    ASSERT_EQ(bytes[y * kStride], static_cast<uint8_t>(y));
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
