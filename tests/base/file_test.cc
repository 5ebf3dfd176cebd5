#include "common/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

std::vector<std::string> synced;  // what fsync was asked for, by path

}  // namespace

// As libc's, which it takes the place of here.
extern "C" int fsync(int fd) {
  synced.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)));
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace bitquake {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::ptrdiff_t FilesInFolder() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }

 private:
  fs::path folder_;
};

TEST_F(FileTest, ReadsWhatWasWritten) {
  const std::string bytes("a\0b\r\n\xFF", 6);
  ASSERT_TRUE(WriteFileAtomically(Path("f"), bytes).ok());
  EXPECT_EQ(*ReadFile(Path("f")), bytes);
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "").ok());
  EXPECT_EQ(*ReadFile(Path("f")), "");
}

TEST_F(FileTest, ReadsUpToTheLimit) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), std::string(100'000, 'x')).ok());
  EXPECT_EQ(ReadFile(Path("f"), 100'000)->size(), 100'000u);
  const absl::Status status = ReadFile(Path("f"), 99'999).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), Path("f") + ": larger than the limit of 99999 bytes");
}

TEST_F(FileTest, LimitHoldsForFilesWithoutAnEnd) {
  EXPECT_EQ(ReadFile("/dev/zero", 1000).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, ErrorsNameThePath) {
  const absl::Status status = ReadFile(Path("missing")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(Path("missing")));
  EXPECT_THAT(std::string(WriteFileAtomically(Path("no/folder"), "x").message()),
              testing::HasSubstr(Path("no/folder")));
}

TEST_F(FileTest, FailedWriteLeavesNothingBehind) {
  fs::create_directory(Path("taken"));  // a folder cannot be replaced by a file
  EXPECT_FALSE(WriteFileAtomically(Path("taken"), "x").ok());
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(FileTest, AFullDiskIsNamedWithTheRemedy) {
  const int full = open("/dev/full", O_WRONLY);
  EXPECT_EQ(WriteAll(full, "x", "f").message(), "f: No space left on device; free some space");
  close(full);
}

// A power loss takes back neither what is in the file nor its name.
TEST_F(FileTest, WriteSyncsTheFileAndThenItsFolder) {
  synced.clear();
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "x").ok());
  ASSERT_EQ(synced.size(), 2u);
  EXPECT_THAT(synced[0], testing::StartsWith(Path("f")));
  EXPECT_EQ(fs::path(synced[1]), fs::path(Path("f")).parent_path());
}

TEST_F(FileTest, WriteReplacesAsAWhole) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), std::string(100'000, 'a')).ok());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(WriteFileAtomically(Path("f"), std::string(100'000, i % 2 ? 'a' : 'b')).ok());
    }
    done = true;
  });
  while (!done) {
    const absl::StatusOr<std::string> text = ReadFile(Path("f"));
    ASSERT_TRUE(text.ok()) << text.status();
    ASSERT_EQ(*text, std::string(100'000, text->empty() ? '?' : text->front()));
  }
  writer.join();
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(FileTest, MapsAFile) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "hello").ok());
  absl::StatusOr<MappedFile> file = MappedFile::Open(Path("f"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->bytes(), "hello");
  MappedFile moved = *std::move(file);
  EXPECT_EQ(moved.bytes(), "hello");
}

// Who replaces a file does not disturb those who map it.
TEST_F(FileTest, MapKeepsTheOldFile) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "old").ok());
  const absl::StatusOr<MappedFile> file = MappedFile::Open(Path("f"));
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "new").ok());
  EXPECT_EQ(file->bytes(), "old");
  EXPECT_EQ(*ReadFile(Path("f")), "new");
}

TEST_F(FileTest, MapsAnEmptyFileToNoBytes) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "").ok());
  EXPECT_EQ(MappedFile::Open(Path("f"))->bytes().size(), 0u);
}

TEST_F(FileTest, DoesNotMapWhatIsNoFile) {
  EXPECT_EQ(MappedFile::Open(Path("missing")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(Path(".")).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bitquake
