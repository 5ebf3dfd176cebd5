#include "worker/agent/roots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/worker/data/scratch.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RootsTest : public ::testing::Test {
 protected:
  RootsTest() {
    folder_.Write("one/vit/x", "");
    folder_.Write("two/vit/x", "");
    folder_.Write("two/org/deit/x", "");
    folder_.Write("two/file", "");
    folder_.Write("outside/x", "");
    roots_.folders = {folder_.Path("one"), folder_.Path("two")};
  }

  absl::StatusOr<std::string> Find(const std::string& name) {
    return Resolve(roots_, name, "model", "--model-root");
  }

  ScratchFolder folder_;
  Roots roots_;
};

TEST_F(RootsTest, FoldersAreSearchedInOrder) {
  EXPECT_EQ(Find("vit").value(), folder_.Path("one/vit"));
  EXPECT_EQ(Find("org/deit").value(), folder_.Path("two/org/deit"));
}

TEST_F(RootsTest, NamedPathsComeFirst) {
  roots_.named["vit"] = "/somewhere/else";
  roots_.named["../odd"] = "/named/by/whoever/started/the/worker";
  EXPECT_EQ(Find("vit").value(), "/somewhere/else");
  EXPECT_EQ(Find("../odd").value(), "/named/by/whoever/started/the/worker");
  EXPECT_EQ(Find("org/deit").value(), folder_.Path("two/org/deit"));
}

TEST_F(RootsTest, NamesThatLeadOutsideAreRefused) {
  for (const std::string& name :
       {std::string("../outside"), std::string("vit/../../outside"), std::string(".."),
        folder_.Path("outside"), std::string(""), std::string("."), std::string("vit/..")}) {
    EXPECT_EQ(Find(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(RootsTest, LinksThatLeadOutsideAreRefusedWithWhatToDo) {
  std::filesystem::create_directory_symlink(folder_.Path("outside"), folder_.Path("one/out"));
  std::filesystem::create_directory_symlink("../..", folder_.Path("one/vit/up"));
  std::filesystem::create_directory_symlink(folder_.Path("one/vit"), folder_.Path("one/in"));
  std::filesystem::create_directory_symlink(folder_.Path("one"), folder_.Path("root"));
  for (const char* name : {"out", "vit/up/outside"}) {
    const absl::Status status = Find(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("leads out of"), HasSubstr("--model"), HasSubstr("outside")));
  }
  EXPECT_EQ(Find("in").value(), folder_.Path("one/in")) << "it stays below the root";
  roots_.folders = {folder_.Path("root")};
  EXPECT_EQ(Find("vit").value(), folder_.Path("root/vit")) << "the root itself may be a link";
}

TEST_F(RootsTest, NotFoundSaysWhereItLookedAndWhatIsNear) {
  const absl::Status status = Find("vitt").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("model 'vitt'"), HasSubstr(roots_.folders[0]), HasSubstr(roots_.folders[1]),
            HasSubstr("did you mean 'vit'"), HasSubstr("--model-root")));
  EXPECT_EQ(Find("file").status().code(), absl::StatusCode::kNotFound) << "no folder";
  roots_.folders = {folder_.Path("absent")};
  EXPECT_THAT(std::string(Find("vit").status().message()), HasSubstr(folder_.Path("absent")));
  roots_.folders.clear();
  EXPECT_THAT(std::string(Find("vit").status().message()), HasSubstr("any root"));
}

}  // namespace
}  // namespace bitquake
