#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "tests/worker/data/scratch.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

class DatasetTest : public ::testing::Test {
 protected:
  void ExpectError(absl::StatusCode code, ::testing::Matcher<std::string> message) {
    const auto dataset = Dataset::Open(folder_.path());
    EXPECT_EQ(dataset.status().code(), code) << dataset.status();
    EXPECT_THAT(std::string(dataset.status().message()), message);
  }

  void WriteInfo(const std::string& split) {
    folder_.Write("_info.json", R"({"splits": {"validation": )" + split + "}}");
  }

  void WriteShard(const std::string& name, const Members& members) {
    WriteTar(folder_.Path(name), members);
  }

  ScratchFolder folder_;
};

const Members kTwo = {{"x.jpg", "XX"}, {"x.cls", "3"}, {"y.cls", "11\n"}, {"y.png", "YYY"}};
const Members kOne = {
    {"sub/z.w.JPEG", "?"}, {"sub/z.json", "{}"}, {"sub/z.cls", "0"}, {"sub/z.png", "Z"}};

TEST_F(DatasetTest, KeepsShardOrderAndOrderWithinTheShard) {
  WriteShard("b.tar", kTwo);
  WriteShard("a.tar", kOne);
  WriteInfo(R"({"filenames": ["b.tar", "a.tar"], "shard_lengths": [2, 1], "num_samples": 3})");
  const auto dataset = Dataset::Open(folder_.path());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->shards(), (std::vector{folder_.Path("b.tar"), folder_.Path("a.tar")}));
  std::string seen;
  for (const Sample& sample : dataset->samples()) {
    const std::string shard = ReadFile(dataset->shards()[sample.shard]).value();
    seen += dataset->Describe(sample) + " " + shard.substr(sample.offset, sample.size) + " " +
            std::to_string(sample.label) + "; ";
  }
  EXPECT_EQ(seen, "b.tar: x XX 3; b.tar: y YYY 11; a.tar: sub/z Z 0; ");
}

TEST_F(DatasetTest, AnInfoThatNestsForEverIsRefused) {
  WriteInfo(R"({"filenames": [)" + std::string(1'000'000, '[') + std::string(1'000'000, ']') +
            "]}");
  ExpectError(kInvalid, HasSubstr("nested too deeply"));
}

TEST_F(DatasetTest, WithoutInfoTakesAllTarsByName) {
  WriteShard("b.tar", kTwo);
  WriteShard("a.tar", kOne);
  folder_.Write("classes.txt", "a\nb\n");
  const auto dataset = Dataset::Open(folder_.path());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->shards(), (std::vector{folder_.Path("a.tar"), folder_.Path("b.tar")}));
  EXPECT_EQ(dataset->samples().size(), 3u);
}

TEST_F(DatasetTest, PrefersTheValidationSplit) {
  WriteShard("t.tar", kOne);
  WriteShard("v.tar", kTwo);
  folder_.Write("_info.json", R"({"splits": {"train": {"filenames": ["t.tar"]},
                                             "validation": {"filenames": ["v.tar"]}}})");
  EXPECT_EQ(Dataset::Open(folder_.path())->samples().size(), 2u);
  folder_.Write("_info.json", R"({"splits": {"train": {"filenames": ["t.tar"]}}})");
  EXPECT_EQ(Dataset::Open(folder_.path())->samples().size(), 1u);
  folder_.Write("_info.json", R"({"splits": {"train": {"filenames": ["t.tar"]},
                                             "test": {"filenames": ["v.tar"]}}})");
  ExpectError(kInvalid, HasSubstr("none of them 'validation'"));
}

TEST_F(DatasetTest, MissingFolderOrShardIsNotFound) {
  EXPECT_EQ(Dataset::Open(folder_.Path("absent")).status().code(), kNotFound);
  ExpectError(kNotFound, HasSubstr("neither _info.json nor a .tar file nor class folders"));
  WriteInfo(R"({"filenames": ["gone.tar"]})");
  ExpectError(kNotFound, HasSubstr("gone.tar"));
}

TEST_F(DatasetTest, FilenamesMustStayInsideTheFolder) {
  folder_.Write("outside/_info.json", "");
  WriteShard("b.tar", kTwo);
  for (const std::string name :
       {"/etc/b.tar", "../b.tar", "a/../../b.tar", "a/..", ".", "", "a//b.tar", "b.tar\\n"}) {
    WriteInfo(R"({"filenames": [")" + name + R"("]})");
    ExpectError(kInvalid, AllOf(HasSubstr("_info.json"), HasSubstr("inside the folder")));
  }
  WriteInfo(R"({"filenames": ["b.tar", 7]})");
  ExpectError(kInvalid, HasSubstr("7 does not name a file"));
  WriteInfo(R"({"filenames": ["b.tar", "b.tar"]})");
  ExpectError(kInvalid, HasSubstr("'b.tar' is listed twice"));
}

TEST_F(DatasetTest, RefusesOtherCountsThanStated) {
  WriteShard("b.tar", kTwo);
  WriteInfo(R"({"filenames": ["b.tar"], "shard_lengths": [3]})");
  ExpectError(kInvalid, AllOf(HasSubstr("b.tar: 2 samples"), HasSubstr("states 3")));
  WriteInfo(R"({"filenames": ["b.tar"], "num_samples": 1})");
  ExpectError(kInvalid, AllOf(HasSubstr("2 samples"), HasSubstr("num_samples 1")));
  WriteInfo(R"({"filenames": ["b.tar"], "shard_lengths": [1, 1]})");
  ExpectError(kInvalid, HasSubstr("shard_lengths"));
  WriteInfo(R"({"filenames": ["b.tar"], "num_samples": -2})");
  ExpectError(kInvalid, HasSubstr("num_samples is no count"));
}

TEST_F(DatasetTest, RefusesAMalformedInfoFile) {
  WriteShard("b.tar", kTwo);
  for (const std::string text : {"", "{", "[]", "{}", R"({"splits": []})", R"({"splits": {}})",
                                 R"({"splits": {"validation": 3}})",
                                 R"({"splits": {"validation": {"filenames": "b.tar"}}})"}) {
    folder_.Write("_info.json", text);
    ExpectError(kInvalid, HasSubstr("_info.json: "));
  }
}

TEST_F(DatasetTest, AnImageAndItsLabelBelongTogether) {
  WriteShard("b.tar", {{"x.jpg", "X"}, {"x.cls", "1"}, {"y.jpg", "Y"}});
  ExpectError(kInvalid, AllOf(HasSubstr("b.tar: y"), HasSubstr("without a label")));
  WriteShard("b.tar", {{"x.jpg", "X"}, {"x.cls", "1"}, {"y.cls", "1"}});
  ExpectError(kInvalid, AllOf(HasSubstr("b.tar: y"), HasSubstr("without an image")));
  WriteShard("b.tar", {{"x.jpg", "X"}, {"x.cls", "1"}, {"x.png", "Y"}});
  ExpectError(kInvalid, AllOf(HasSubstr("b.tar: x"), HasSubstr("'x.jpg' and 'x.png'")));
  WriteShard("b.tar", {{"x.jpg", "X"}, {"x.cls", "1"}, {"x.cls", "2"}});
  ExpectError(kInvalid, AllOf(HasSubstr("b.tar: x"), HasSubstr("'x.cls' and 'x.cls'")));
  WriteShard("b.tar", {{"x.json", "{}"}});
  ExpectError(kInvalid, HasSubstr("no images"));
}

TEST_F(DatasetTest, ALabelIsAClassNumber) {
  for (const std::string label : {"", "cat", "-1", "1.5", "99999999999", "1 2", "0x1"}) {
    WriteShard("b.tar", {{"x.jpg", "X"}, {"x.cls", label}});
    ExpectError(kInvalid, AllOf(HasSubstr("b.tar: x"), HasSubstr("no class number")));
  }
}

TEST_F(DatasetTest, ATruncatedShardIsNamed) {
  WriteShard("b.tar", kTwo);
  std::filesystem::resize_file(folder_.Path("b.tar"), 1536);
  ExpectError(kInvalid, AllOf(HasSubstr("b.tar"), HasSubstr("x.cls"), HasSubstr("truncated")));
}

TEST_F(DatasetTest, DigestIsThatOfSha256sum) {
  WriteShard("b.tar", kTwo);
  WriteShard("a.tar", kOne);
  const std::string a = Sha256HexOfFile(folder_.Path("a.tar")).value();
  const std::string b = Sha256HexOfFile(folder_.Path("b.tar")).value();
  EXPECT_EQ(Dataset::Open(folder_.path())->Digest().value(),
            Sha256Hex(a + "  a.tar\n" + b + "  b.tar\n"));
}

TEST_F(DatasetTest, DigestIsTheSameOnSeveralThreads) {
  for (const std::string name : {"a", "b", "c", "d", "e"}) {
    WriteShard(name + ".tar", {{name + ".png", "x"}, {name + ".cls", "0"}});
  }
  const Dataset dataset = *Dataset::Open(folder_.path());
  for (const int threads : {2, 3, 8}) {
    EXPECT_EQ(dataset.Digest(threads).value(), dataset.Digest().value()) << threads;
  }
  std::filesystem::remove(folder_.Path("b.tar"));
  std::filesystem::remove(folder_.Path("d.tar"));
  EXPECT_THAT(std::string(dataset.Digest(3).status().message()), HasSubstr("b.tar"));
}

// As timm/imagenet-1k-wds is published: both splits in _info.json, 64 tars of the validation split,
// JSON and text beside each image; the train split need not be there.
TEST_F(DatasetTest, ReadsTheFormOfTimmsImagenet) {
  std::string names, lengths;
  int total = 0;
  for (int shard = 0; shard < 64; ++shard) {
    char name[64];
    std::snprintf(name, sizeof(name), "imagenet1k-validation-%02d.tar", shard);
    const int count = 1 + shard % 3;
    Members members;
    for (int i = 0; i < count; ++i, ++total) {
      char key[64];
      std::snprintf(key, sizeof(key), "ILSVRC2012_val_%08d", 50000 - total);
      members.push_back({std::string(key) + ".cls", std::to_string(total * 7 % 1000)});
      members.push_back({std::string(key) + ".jpg", "image " + std::to_string(total)});
      members.push_back({std::string(key) + ".json", R"({"label": 1, "filename": "x.JPEG"})"});
      members.push_back({std::string(key) + ".txt", "tench"});
    }
    WriteShard(name, members);
    names += std::string(shard > 0 ? ", " : "") + '"' + name + '"';
    lengths += (shard > 0 ? ", " : "") + std::to_string(count);
  }
  const auto info = [&](int samples) {
    folder_.Write("_info.json", R"({"splits": {
      "train": {"name": "train", "filenames": ["imagenet1k-train-0000.tar"],
                "shard_lengths": [1251], "num_samples": 1251},
      "validation": {"name": "validation", "filenames": [)" +
                                    names + R"(], "shard_lengths": [)" + lengths +
                                    R"(], "num_samples": )" + std::to_string(samples) + "}}}");
  };
  info(total);
  const auto dataset = Dataset::Open(folder_.path());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->shards().size(), 64u);
  ASSERT_EQ(dataset->samples().size(), static_cast<size_t>(total));
  for (int i = 0; i < total; ++i) {
    const Sample& sample = dataset->samples()[i];
    EXPECT_EQ(sample.label, i * 7 % 1000);
    const std::string shard = ReadFile(dataset->shards()[sample.shard]).value();
    EXPECT_EQ(shard.substr(sample.offset, sample.size), "image " + std::to_string(i));
  }
  info(50000);
  ExpectError(kInvalid, HasSubstr("states num_samples 50000"));
}

TEST_F(DatasetTest, ExtensionsMayBeInAnyCase) {
  WriteShard("b.tar", {{"x.JPG", "X"},
                       {"x.CLS", "1"},
                       {"y.Jpeg", "Y"},
                       {"y.cls", "2"},
                       {"z.PNG", "Z"},
                       {"z.Cls", "3"}});
  const auto dataset = Dataset::Open(folder_.path());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->samples().size(), 3u);
}

TEST_F(DatasetTest, TarsComeBeforeClassFolders) {
  WriteShard("b.tar", kTwo);
  folder_.Write("class/x.jpg", "X");
  EXPECT_EQ(Dataset::Open(folder_.path())->shards(), std::vector{folder_.Path("b.tar")});
}

TEST(SharedData, IndexesWhole) {
  const std::string shared = BITQUAKE_SOURCE_DIR "/../shared/data";
  for (const auto& [name, classes] : {std::pair{"fashion-mnist", 10}, {"tiny-imagenet", 200}}) {
    const std::string folder = shared + "/" + name;
    if (!std::filesystem::exists(folder)) {
      continue;  // it is beside the checkout on the developers' machines only
    }
    const auto dataset = Dataset::Open(folder);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ(dataset->samples().size(), 10000u);
    for (const Sample& sample : dataset->samples()) {
      ASSERT_LT(sample.label, classes) << dataset->Describe(sample);
    }
  }
}

}  // namespace
}  // namespace bitquake
