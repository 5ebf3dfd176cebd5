#include "worker/data/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "tests/worker/data/scratch.h"
#include "worker/data/dataset.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ImageFolderTest : public ::testing::Test {
 protected:
  // "label path bytes" of each sample, paths below the data set's folder.
  std::vector<std::string> Samples(const std::string& folder = "set") {
    const auto dataset = Dataset::Open(folder_.Path(folder));
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    std::vector<std::string> seen;
    for (const Sample& sample : dataset->samples()) {
      const std::string path = dataset->shards()[sample.shard];
      const std::string bytes = ReadFile(path).value();
      EXPECT_EQ(dataset->Describe(sample), path);
      seen.push_back(std::to_string(sample.label) + " " +
                     path.substr(folder_.Path(folder).size() + 1) + " " +
                     bytes.substr(sample.offset, sample.size));
    }
    return seen;
  }

  void ExpectError(::testing::Matcher<std::string> message,
                   absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const auto dataset = Dataset::Open(folder_.Path("set"));
    EXPECT_EQ(dataset.status().code(), code) << dataset.status();
    EXPECT_THAT(std::string(dataset.status().message()), message);
  }

  void Link(const std::string& target, const std::string& name) {
    fs::create_directories(fs::path(folder_.Path(name)).parent_path());
    fs::create_symlink(target, folder_.Path(name));
  }

  ScratchFolder folder_;
};

TEST_F(ImageFolderTest, AClassIsItsFoldersRankAndImagesAreOrderedByTheirPath) {
  folder_.Write("set/n2/b10.jpg", "p");
  folder_.Write("set/n2/b9.JPEG", "q");
  folder_.Write("set/n10/c.Png", "r");
  folder_.Write("set/n1/x.jpeg", "s");
  // Before "n1/", as '-' is before '/': the order of images is not always that of classes.
  folder_.Write("set/n1-x/y.jpg", "t");
  EXPECT_THAT(Samples(), ElementsAre("1 n1-x/y.jpg t", "0 n1/x.jpeg s", "2 n2/b9.JPEG q",
                                     "2 n2/b10.jpg p", "3 n10/c.Png r"));
}

TEST_F(ImageFolderTest, WhatIsHiddenOrNoImageIsPassedOver) {
  folder_.Write("set/a/1.jpg", "p");
  folder_.Write("set/a/._1.jpg", "resource fork");
  folder_.Write("set/a/.cache/2.jpg", "q");
  folder_.Write("set/a/labels.txt", "");
  folder_.Write("set/a/2.gif", "");
  folder_.Write("set/a/jpg", "");
  folder_.Write("set/.hidden/3.jpg", "r");
  folder_.Write("set/README.md", "");
  EXPECT_THAT(Samples(), ElementsAre("0 a/1.jpg p"));
}

TEST_F(ImageFolderTest, TheValidationSplitsSubfolderIsTaken) {
  folder_.Write("set/train/a/1.jpg", "p");
  folder_.Write("set/train/b/1.jpg", "q");
  folder_.Write("set/val/b/1.jpg", "r");
  EXPECT_THAT(Samples(), ElementsAre("0 val/b/1.jpg r"));
  folder_.Write("set/validation/c/1.jpg", "s");
  EXPECT_THAT(Samples(), ElementsAre("0 validation/c/1.jpg s"));
}

TEST_F(ImageFolderTest, AClassFolderWithoutImagesIsAnError) {
  folder_.Write("set/a/1.jpg", "p");
  folder_.Write("set/b/readme.txt", "");
  ExpectError(AllOf(HasSubstr("set/b: "), HasSubstr("without images")));
}

TEST_F(ImageFolderTest, ClassFoldersMustHaveAnOrder) {
  folder_.Write("set/n01/1.jpg", "p");
  folder_.Write("set/N1/1.jpg", "q");
  ExpectError(AllOf(HasSubstr("'N1' and 'n01'"), HasSubstr("no order")));
  fs::remove_all(folder_.Path("set/N1"));
  folder_.Write("set/\xc3\x89t\xc3\xa9/1.jpg", "q");
  ExpectError(HasSubstr("ASCII"));
}

TEST_F(ImageFolderTest, ImagesLieInClassFoldersAndNowhereElse) {
  folder_.Write("set/a/1.jpg", "p");
  folder_.Write("set/2.jpg", "q");
  ExpectError(AllOf(HasSubstr("set/2.jpg: "), HasSubstr("outside of a class folder")));
  fs::remove(folder_.Path("set/2.jpg"));
  folder_.Write("set/a/images/3.jpg", "r");
  ExpectError(AllOf(HasSubstr("set/a/images: "), HasSubstr("inside of a class folder")));
}

TEST_F(ImageFolderTest, LinksInsideOfTheFolderAreFollowed) {
  folder_.Write("set/val/a/1.jpg", "p");
  folder_.Write("set/pool/2.jpg", "q");
  Link("../../pool/2.jpg", "set/val/a/2.jpg");
  Link(folder_.Path("set/pool"), "set/val/b");
  EXPECT_THAT(Samples(), ElementsAre("0 val/a/1.jpg p", "0 val/a/2.jpg q", "1 val/b/2.jpg q"));
  // Also if the data set is itself reached by a link.
  Link(folder_.Path("set"), "alias");
  EXPECT_EQ(Samples("alias").size(), 3u);
}

TEST_F(ImageFolderTest, LinksOutOfTheFolderAreRefused) {
  folder_.Write("secret/1.jpg", "p");
  folder_.Write("set-beside/1.jpg", "p");
  folder_.Write("set/a/1.jpg", "q");
  const auto refused = [&](const std::string& target, const std::string& name) {
    Link(target, name);
    ExpectError(AllOf(HasSubstr(name + ": "), HasSubstr("symbolic link out of")));
    fs::remove(folder_.Path(name));
  };
  refused(folder_.Path("secret/1.jpg"), "set/a/2.jpg");
  refused("../../secret/1.jpg", "set/a/2.jpg");
  refused(folder_.Path("secret"), "set/b");
  refused("../set-beside", "set/b");
  refused("..", "set/b");
  refused(folder_.Path("secret"), "set/val");
  Link(folder_.Path("secret"), "set/hop");
  ExpectError(HasSubstr("symbolic link out of"));
}

TEST_F(ImageFolderTest, WhatCannotBeReadIsNamed) {
  folder_.Write("set/a/1.jpg", "p");
  Link("gone.jpg", "set/a/2.jpg");
  ExpectError(HasSubstr("set/a/2.jpg"), absl::StatusCode::kNotFound);
  fs::remove(folder_.Path("set/a/2.jpg"));
  ASSERT_EQ(mkfifo(folder_.Path("set/a/3.jpg").c_str(), 0666), 0);
  ExpectError(AllOf(HasSubstr("set/a/3.jpg"), HasSubstr("not a regular file")));
  fs::remove(folder_.Path("set/a/3.jpg"));
  folder_.Write("set/a/4\n5.jpg", "q");
  ExpectError(AllOf(HasSubstr("4\\n5.jpg"), HasSubstr("control character")));
}

TEST_F(ImageFolderTest, TheDigestIsOverNamesAndBytes) {
  folder_.Write("set/a/1.jpg", "p");
  folder_.Write("set/b/2.jpg", "q");
  const auto digest = [&](const std::string& folder = "set") {
    return Dataset::Open(folder_.Path(folder))->Digest().value();
  };
  const std::string first = digest();
  EXPECT_EQ(first, Sha256Hex(Sha256Hex("p") + "  a/1.jpg\n" + Sha256Hex("q") + "  b/2.jpg\n"));
  folder_.Write("other/val/a/1.jpg", "p");
  folder_.Write("other/val/b/2.jpg", "q");
  EXPECT_EQ(digest("other"), first) << "wherever the class folders lie";
  folder_.Write("set/b/2.jpg", "r");
  EXPECT_NE(digest(), first);
  folder_.Write("set/b/2.jpg", "q");
  EXPECT_EQ(digest(), first);
  fs::rename(folder_.Path("set/b"), folder_.Path("set/c"));
  EXPECT_NE(digest(), first);
}

TEST_F(ImageFolderTest, TheStampTellsEveryChange) {
  folder_.Write("set/a/1.jpg", "p");
  folder_.Write("set/b/2.jpg", "q");
  const auto dataset = Dataset::Open(folder_.Path("set"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const std::string stamp = dataset->Stamp().value();
  EXPECT_EQ(dataset->Stamp().value(), stamp);
  folder_.Write("set/b/2.jpg", "changed");
  EXPECT_NE(dataset->Stamp().value(), stamp);
  folder_.Write("set/b/3.jpg", "r");
  EXPECT_EQ(dataset->Stamp().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(dataset->Stamp().status().message()), HasSubstr("other images"));
}

}  // namespace
}  // namespace bitquake
