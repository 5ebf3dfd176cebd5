#include "worker/data/tar_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/data/oracle.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(TarIndex, FindsTheBytesThatPythonFinds) {
  for (const auto& [name, expected] : Expected()["tars"].items()) {
    SCOPED_TRACE(name);
    const std::string tar = OracleFile("tars/" + name);
    const auto members = IndexTar(tar, name);
    ASSERT_TRUE(members.ok()) << members.status();
    ASSERT_EQ(members->size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const TarMember& member = (*members)[i];
      EXPECT_EQ(member.name, expected[i]["name"]);
      EXPECT_EQ(member.offset, expected[i]["offset"]);
      EXPECT_EQ(member.size, expected[i]["size"]);
      EXPECT_EQ(Sha256Hex({tar.data() + member.offset, size_t(member.size)}),
                expected[i]["sha256"]);
    }
  }
}

// The end-of-archive marker is two zero blocks, then padding; one block tells the end.
TEST(TarIndex, RefusesEveryTruncationBeforeTheEndMarker) {
  for (const std::string name : {"ustar.tar", "gnu.tar", "pax.tar"}) {
    const std::string tar = OracleFile("tars/" + name);
    const size_t data_end = (tar.find_last_not_of('\0') / 512 + 1) * 512;
    for (size_t size = 0; size < data_end + 512; size += 1 + size % 97) {
      const auto members = IndexTar({tar.data(), size}, "shard.tar");
      ASSERT_EQ(members.status().code(), absl::StatusCode::kInvalidArgument)
          << name << " cut to " << size << " bytes";
      EXPECT_THAT(std::string(members.status().message()), HasSubstr("shard.tar: "));
    }
    EXPECT_TRUE(IndexTar({tar.data(), data_end + 512}, name).ok());
  }
}

TEST(TarIndex, RefusesEveryTruncationAtABlock) {
  const std::string tar = OracleFile("tars/ustar.tar");
  const size_t data_end = (tar.find_last_not_of('\0') / 512 + 1) * 512;
  for (size_t size = 0; size <= data_end; size += 512) {
    EXPECT_FALSE(IndexTar({tar.data(), size}, "shard.tar").ok()) << size << " bytes";
  }
}

TEST(TarIndex, ADamagedHeaderIsAnErrorThatNamesTheMemberBefore) {
  std::string tar = OracleFile("tars/ustar.tar");
  const int64_t second = Expected()["tars"]["ustar.tar"][1]["offset"];
  tar[second - 512] ^= 1;  // in the name of the second file
  const auto members = IndexTar(tar, "shard.tar");
  EXPECT_EQ(members.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(members.status().message()),
              AllOf(HasSubstr("shard.tar"), HasSubstr("a/b.c/first.jpg")));
}

TEST(TarIndex, SurvivesFlippedBits) {
  for (const std::string name : {"ustar.tar", "gnu.tar", "pax.tar"}) {
    const std::string tar = OracleFile("tars/" + name);
    int refused = 0;
    for (size_t bit = 0; bit < 8 * tar.size(); bit += 61) {
      std::string flipped = tar;
      flipped[bit / 8] ^= 1 << (bit % 8);
      const auto members = IndexTar(flipped, name);
      refused += !members.ok();
      if (members.ok()) {
        for (const TarMember& member : *members) {
          ASSERT_LE(member.offset + member.size, static_cast<int64_t>(tar.size())) << "bit " << bit;
        }
      }
    }
    EXPECT_GT(refused, 100) << name;
  }
}

TEST(TarIndex, RefusesWhatIsNoTar) {
  EXPECT_FALSE(IndexTar("", "empty.tar").ok());
  EXPECT_FALSE(IndexTar(std::string(1024, 'x'), "text.tar").ok());
  EXPECT_FALSE(IndexTar(OracleFile("good/color.png"), "image.tar").ok());
}

TEST(TarIndex, SplitsNamesAsWebDatasetDoes) {
  const auto split = [](absl::string_view name) {
    const SamplePart part = SplitMemberName(name);
    return std::pair(part.key, part.extension);
  };
  EXPECT_EQ(split("val_8709.jpg"), std::pair(std::string("val_8709"), std::string("jpg")));
  EXPECT_EQ(split("a.b/c.JPEG"), std::pair(std::string("a.b/c"), std::string("jpeg")));
  EXPECT_EQ(split("a/c.seg.png"), std::pair(std::string("a/c"), std::string("seg.png")));
  EXPECT_EQ(split("README"), std::pair(std::string("README"), std::string()));
  EXPECT_EQ(split("a/.hidden"), std::pair(std::string("a/"), std::string("hidden")));
}

}  // namespace
}  // namespace bitquake
