#include "common/base/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "common/base/file.h"

namespace bitquake {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, MeetsThePublishedVectors) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const std::string path = testing::TempDir() + "/digest_test";
  const std::string million_a(1'000'000, 'a');  // FIPS 180-2, B.3; more than one read
  ASSERT_TRUE(WriteFileAtomically(path, million_a + million_a).ok());
  EXPECT_EQ(*Sha256HexOfFile(path), Sha256Hex(million_a + million_a));
  ASSERT_TRUE(WriteFileAtomically(path, million_a).ok());
  EXPECT_EQ(*Sha256HexOfFile(path),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfAMissingFileIsAnErrorThatNamesIt) {
  const absl::Status status = Sha256HexOfFile("/nonexistent/f").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message().substr(0, 14), "/nonexistent/f");
}

// The value of no bytes is in xxHash's own sanity test (XXH3_128bits, seed 0).
TEST(Xxh3, MeetsThePublishedVector) {
  EXPECT_EQ(Xxh3Hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Xxh3().Hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Xxh3().First64(), 0x99aa06d3014798d8u);
}

TEST(Xxh3, DoesNotDependOnHowBytesArrive) {
  std::string text;
  for (int i = 0; i < 5000; ++i) {
    text.push_back(static_cast<char>(i * 31));
  }
  for (const size_t step : {1, 7, 256, 4999, 5000}) {
    Xxh3 digest;
    for (size_t at = 0; at < text.size(); at += step) {
      digest.Update(text.data() + at, std::min(step, text.size() - at));
      digest.Hex();  // asking does not disturb it
    }
    EXPECT_EQ(digest.Hex(), Xxh3Hex(text)) << step;
  }
}

TEST(Xxh3, NumbersAreTheirLittleEndianBytes) {
  Xxh3 digest;
  digest.UpdateValue<uint32_t>(0x04030201);
  EXPECT_EQ(digest.Hex(), Xxh3Hex("\x01\x02\x03\x04"));
}

TEST(Xxh3, NeighbouringTextsDoNotRunTogether) {
  Xxh3 a;
  a.UpdateText("ab");
  a.UpdateText("c");
  Xxh3 b;
  b.UpdateText("a");
  b.UpdateText("bc");
  EXPECT_NE(a.Hex(), b.Hex());
}

TEST(Xxh3, MovesWithItsState) {
  Xxh3 a;
  a.UpdateText("ab");
  const std::string hex = a.Hex();
  const Xxh3 b = std::move(a);
  EXPECT_EQ(b.Hex(), hex);
}

TEST(ToHex, KeepsLeadingZeros) { EXPECT_EQ(ToHex(absl::string_view("\0\x0F\xFF", 3)), "000fff"); }

}  // namespace
}  // namespace bitquake
