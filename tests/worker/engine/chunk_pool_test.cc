#include "worker/engine/chunk_pool.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <atomic>
#include <new>
#include <set>

#include "worker/engine/torch_errors.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

bool Never() { return false; }

TEST(ChunkPool, RunsEveryChunkOnce) {
  for (const int threads : {1, 3}) {
    ChunkPool pool(threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<std::atomic<int>> runs(17);
      ASSERT_TRUE(pool.Run(
                          17,
                          [&](int64_t i) {
                            ++runs[i];
                            return absl::OkStatus();
                          },
                          Never)
                      .ok());
      for (const auto& count : runs) {
        EXPECT_EQ(count, 1);
      }
    }
    EXPECT_TRUE(pool.Run(
                        0, [](int64_t) { return absl::InternalError("ran"); }, Never)
                    .ok());
  }
}

TEST(ChunkPool, TorchRunsSingleThreadedAndWithoutGradients) {
  ChunkPool pool(2);
  ASSERT_TRUE(pool.Run(
                      8,
                      [](int64_t) {
                        return at::get_num_threads() == 1 && at::empty({1}).is_inference()
                                   ? absl::OkStatus()
                                   : absl::InternalError("not set up");
                      },
                      Never)
                  .ok());
}

TEST(ChunkPool, StopsAtAnErrorAndGoesOnAfterwards) {
  ChunkPool pool(2);
  std::atomic<int> runs = 0;
  const absl::Status status = pool.Run(
      1000,
      [&](int64_t i) {
        ++runs;
        return i == 3 ? absl::InternalError("chunk 3") : absl::OkStatus();
      },
      Never);
  EXPECT_EQ(status.message(), "chunk 3");
  EXPECT_LT(runs, 1000);
  EXPECT_TRUE(pool.Run(
                      5, [](int64_t) { return absl::OkStatus(); }, Never)
                  .ok());
}

TEST(ChunkPool, TurnsExceptionsIntoErrors) {
  ChunkPool pool(2);
  const absl::Status status = pool.Run(
      4,
      [](int64_t) {
        at::linear(at::ones({2, 3}), at::ones({4, 5}));
        return absl::OkStatus();
      },
      Never);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("torch: "));
  EXPECT_EQ(StatusFromException(std::bad_alloc()).code(), absl::StatusCode::kResourceExhausted);
  const absl::Status huge = WithoutExceptions([] {
    at::empty({int64_t{1} << 55});
    return absl::OkStatus();
  });
  EXPECT_EQ(huge.code(), absl::StatusCode::kResourceExhausted) << huge;
}

TEST(ChunkPool, AsksForCancellationOnTheCallersThreadBetweenChunks) {
  ChunkPool pool(1);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> runs = 0;
  int asked = 0;
  const auto body = [&](int64_t) {
    ++runs;
    at::ones({64, 64}).matmul(at::ones({64, 64}));  // chunks take a while
    return absl::OkStatus();
  };
  EXPECT_EQ(pool.Run(100000, body,
                     [&] {
                       EXPECT_EQ(std::this_thread::get_id(), caller);
                       return ++asked == 3;
                     })
                .code(),
            absl::StatusCode::kCancelled);
  EXPECT_LT(runs, 100000);
  runs = 0;
  EXPECT_EQ(pool.Run(5, body, [] { return true; }).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(runs, 0);
}

}  // namespace
}  // namespace bitquake
