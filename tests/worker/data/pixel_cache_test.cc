#include "worker/data/pixel_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/notification.h"
#include "common/base/file.h"
#include "tests/worker/data/oracle.h"
#include "tests/worker/data/scratch.h"
#include "worker/data/transform.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kImages = 100;
const char* const kSources[] = {"420.jpg", "tall.jpg", "grey.png", "palette.png", "cmyk.jpg"};

class PixelCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.folder = folder_.Path("cache/pixels");
    options_.threads = 3;
    preprocessing_ = OracleTransform("64");
    WriteData(SomeMembers());
  }

  // `broken` gives the bytes of an image in place of the good ones, or "".
  static Members SomeMembers(const std::function<std::string(int)>& broken = [](int) {
    return "";
  }) {
    Members members;
    for (int i = 0; i < kImages; ++i) {
      const std::string bytes = broken(i);
      members.push_back({Key(i) + ".jpg", bytes.empty() ? Source(i) : bytes});
      members.push_back({Key(i) + ".cls", "0"});
    }
    return members;
  }

  void WriteData(const Members& members) {
    WriteTar(folder_.Path("data/shard.tar"), members);
    dataset_ = Dataset::Open(folder_.Path("data")).value();
  }

  static std::string Key(int i) { return "image" + std::to_string(i); }
  static std::string Source(int i) {
    return OracleFile(std::string("good/") + kSources[i % std::size(kSources)]);
  }

  auto OpenOrBuild(const std::string& digest = "data") {
    return PixelCache::OpenOrBuild(dataset_, digest, preprocessing_, options_);
  }

  void ExpectRightPixels(const PixelCache& cache) {
    ASSERT_EQ(cache.images(), kImages);
    ASSERT_EQ(cache.bytes_per_image(), 3 * 64 * 64);
    for (int i = 0; i < kImages; ++i) {
      const auto pixels = cache.Pixels(i);
      ASSERT_TRUE(pixels.ok()) << pixels.status();
      ASSERT_EQ(std::vector<uint8_t>(pixels->begin(), pixels->end()),
                Preprocess(*DecodeImage(Source(i)), preprocessing_).value())
          << Key(i);
    }
  }

  // Names of the cache folder's files that end so.
  std::vector<std::string> Files(const std::string& ending) {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(options_.folder)) {
      if (entry.path().extension() == ending) {
        files.push_back(entry.path().string());
      }
    }
    return files;
  }

  void FlipByte(const std::string& path, int64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(offset);
    file.put(byte);
  }

  ScratchFolder folder_;
  Dataset dataset_;
  Preprocessing preprocessing_;
  PixelCacheOptions options_;
};

TEST_F(PixelCacheTest, HoldsEveryImagesPixels) {
  const auto cache = OpenOrBuild();
  ASSERT_TRUE(cache.ok()) << cache.status();
  ExpectRightPixels(**cache);
  EXPECT_EQ(Files(".pixels").size(), 1u);
  EXPECT_TRUE(Files(".tmp").empty());
  EXPECT_FALSE((*cache)->Pixels(-1).ok());
  EXPECT_FALSE((*cache)->Pixels(kImages).ok());
}

TEST_F(PixelCacheTest, IsBuiltOnce) {
  ASSERT_TRUE(OpenOrBuild().ok());
  fs::resize_file(folder_.Path("data/shard.tar"), 0);  // nothing left to build from
  const auto cache = OpenOrBuild();
  ASSERT_TRUE(cache.ok()) << cache.status();
  ExpectRightPixels(**cache);
}

TEST_F(PixelCacheTest, DataAndTransformEachHaveTheirFile) {
  ASSERT_TRUE(OpenOrBuild().ok());
  ASSERT_TRUE(OpenOrBuild("other data").ok());
  preprocessing_.crop_pct = 0.9;
  ASSERT_TRUE(OpenOrBuild().ok());
  preprocessing_.crop_mode = "squash";
  ASSERT_TRUE(OpenOrBuild().ok());
  preprocessing_.interpolation = "bilinear";
  ASSERT_TRUE(OpenOrBuild().ok());
  EXPECT_EQ(Files(".pixels").size(), 5u);
  preprocessing_.mean = {0.1, 0.2, 0.3};  // applied later
  ASSERT_TRUE(OpenOrBuild().ok());
  EXPECT_EQ(Files(".pixels").size(), 5u);
}

TEST_F(PixelCacheTest, ATruncatedOrDamagedFileIsRebuilt) {
  ASSERT_TRUE(OpenOrBuild().ok());
  const std::string file = Files(".pixels").front();
  const auto size = fs::file_size(file);
  const std::vector<std::function<void()>> damages = {
      [&] { fs::resize_file(file, size - 1); },
      [&] { fs::resize_file(file, 0); },
      [&] { fs::resize_file(file, size + 1); },
      [&] { FlipByte(file, 0); },
      [&] { FlipByte(file, 20); },
      [&] { FlipByte(file, 4096 + 8 * 50); },
  };
  for (const auto& damage : damages) {
    damage();
    const auto cache = OpenOrBuild();
    ASSERT_TRUE(cache.ok()) << cache.status();
    ExpectRightPixels(**cache);
  }
}

TEST_F(PixelCacheTest, AFlippedPixelIsDataLossOfThatImageAlone) {
  ASSERT_TRUE(OpenOrBuild().ok());
  const std::string file = Files(".pixels").front();
  FlipByte(file, fs::file_size(file) - 1);
  const auto cache = OpenOrBuild();
  ASSERT_TRUE(cache.ok()) << cache.status();
  for (int attempt = 0; attempt < 2; ++attempt) {
    const absl::Status status = (*cache)->Pixels(kImages - 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(file), HasSubstr("image 99")));
  }
  EXPECT_TRUE((*cache)->Pixels(kImages - 2).ok());
}

TEST_F(PixelCacheTest, NamesTheFirstImageThatDoesNotDecodeWhateverTheThreads) {
  const std::string truncated = OracleFile("broken/truncated.jpg");
  WriteData(SomeMembers([&truncated](int i) -> std::string {
    // The later ones, which other threads take, fail sooner.
    return i >= 64 ? "no image" : i == 35 ? truncated : "";
  }));
  for (int threads : {1, 2, 8}) {
    options_.threads = threads;
    const absl::Status status = OpenOrBuild().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("shard.tar: image35: "), HasSubstr("Premature end")));
    EXPECT_TRUE(Files(".tmp").empty());
    EXPECT_TRUE(Files(".pixels").empty());
  }
}

TEST_F(PixelCacheTest, ADataSetThatChangesWhileItIsDecodedIsNotCached) {
  bool changed = false;
  options_.cancelled = [&] {
    if (!changed) {
      changed = true;
      fs::rename(folder_.Path("data/shard.tar"), folder_.Path("old.tar"));
      fs::copy_file(folder_.Path("old.tar"), folder_.Path("data/shard.tar"));
    }
    return false;
  };
  const absl::Status status = OpenOrBuild().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(folder_.Path("data")), HasSubstr("changed while")));
  EXPECT_TRUE(Files(".pixels").empty());
  EXPECT_TRUE(OpenOrBuild().ok()) << "it stays as it is now";
}

TEST_F(PixelCacheTest, HoldsTheImagesOfClassFolders) {
  for (int i = 0; i < kImages; ++i) {
    folder_.Write("folders/class" + std::to_string(i % 3) + "/" + std::to_string(i) + ".JPEG",
                  Source(i));
  }
  dataset_ = Dataset::Open(folder_.Path("folders")).value();
  const auto cache = OpenOrBuild();
  ASSERT_TRUE(cache.ok()) << cache.status();
  for (int i = 0; i < kImages; ++i) {
    const std::string bytes = ReadFile(dataset_.shards()[i]).value();
    const auto pixels = (*cache)->Pixels(i).value();
    ASSERT_EQ(std::vector<uint8_t>(pixels.begin(), pixels.end()),
              Preprocess(*DecodeImage(bytes), preprocessing_).value())
        << dataset_.shards()[i];
  }
}

TEST_F(PixelCacheTest, ABrokenImageOfAClassFolderIsNamedByItsPath) {
  folder_.Write("folders/a/good.jpg", Source(0));
  folder_.Write("folders/b/bad.jpg", OracleFile("broken/truncated.jpg"));
  dataset_ = Dataset::Open(folder_.Path("folders")).value();
  const absl::Status broken = OpenOrBuild().status();
  EXPECT_EQ(broken.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(broken.message()),
              AllOf(HasSubstr(folder_.Path("folders/b/bad.jpg: ")), HasSubstr("Premature end")));
  fs::remove(folder_.Path("folders/b/bad.jpg"));
  const absl::Status gone = OpenOrBuild().status();
  EXPECT_FALSE(gone.ok());
  EXPECT_THAT(std::string(gone.message()), HasSubstr(folder_.Path("folders/b")));
}

TEST_F(PixelCacheTest, CanBeCancelled) {
  int asked = 0;
  options_.cancelled = [&asked] { return ++asked > 10; };
  EXPECT_EQ(OpenOrBuild().status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(asked, 10 + 2 * options_.threads);
  EXPECT_TRUE(Files(".tmp").empty());
}

TEST_F(PixelCacheTest, OneBuildsWhileOthersWait) {
  WriteTar(folder_.Path("copy/shard.tar"), SomeMembers());
  const Dataset copy = Dataset::Open(folder_.Path("copy")).value();
  fs::resize_file(folder_.Path("copy/shard.tar"), 0);  // whoever uses the copy cannot build

  absl::Notification building, waiting;
  std::thread builder([&] {
    PixelCacheOptions options = options_;
    options.cancelled = [&] {
      if (!building.HasBeenNotified()) {
        building.Notify();
      }
      waiting.WaitForNotification();
      return false;
    };
    const auto cache = PixelCache::OpenOrBuild(dataset_, "data", preprocessing_, options);
    EXPECT_TRUE(cache.ok()) << cache.status();
  });
  building.WaitForNotification();

  PixelCacheOptions impatient = options_;
  impatient.cancelled = [] { return true; };
  const absl::Status status =
      PixelCache::OpenOrBuild(copy, "data", preprocessing_, impatient).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(status.message()), HasSubstr("waiting"));

  PixelCacheOptions patient = options_;
  patient.cancelled = [&] {
    if (!waiting.HasBeenNotified()) {
      waiting.Notify();
    }
    return false;
  };
  const auto cache = PixelCache::OpenOrBuild(copy, "data", preprocessing_, patient);
  builder.join();
  ASSERT_TRUE(cache.ok()) << cache.status();
  ExpectRightPixels(**cache);
}

TEST_F(PixelCacheTest, WhatADeadBuilderLeftDoesNotMatter) {
  ASSERT_TRUE(OpenOrBuild().ok());
  const std::string file = Files(".pixels").front();
  fs::rename(file, file + ".tmp");
  fs::resize_file(file + ".tmp", 2 * fs::file_size(file + ".tmp"));
  const auto cache = OpenOrBuild();
  ASSERT_TRUE(cache.ok()) << cache.status();
  ExpectRightPixels(**cache);
  EXPECT_TRUE(Files(".tmp").empty());
}

TEST_F(PixelCacheTest, ManyThreadsMayAskForPixels) {
  const auto cache = OpenOrBuild();
  ASSERT_TRUE(cache.ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, &cache] { ExpectRightPixels(**cache); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(PixelCacheTest, AFolderThatCannotBeMadeIsNamed) {
  folder_.Write("file", "");
  options_.folder = folder_.Path("file/cache");
  const absl::Status status = OpenOrBuild().status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("file/cache"));
}

// As on a full disk: the system refuses the bytes.
TEST_F(PixelCacheTest, NoRoomIsAClearErrorAndLeavesNothing) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  absl::Cleanup restore = [&] {
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
  };
  const rlimit small = {10000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = OpenOrBuild().status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(options_.folder), HasSubstr("room")));
  EXPECT_TRUE(Files(".tmp").empty());
  EXPECT_TRUE(Files(".pixels").empty());
}

TEST_F(PixelCacheTest, RefusesWhatTheTransformDoesNotSupport) {
  preprocessing_.crop_mode = "border";
  const absl::Status status = OpenOrBuild().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("border"));
}

}  // namespace
}  // namespace bitquake
