#include "common/base/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace bitquake {
namespace {

TEST(Backoff, DoublesWithinItsBoundsUpToTheCap) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Backoff backoff({absl::Milliseconds(100), absl::Seconds(1)}, seed);
    for (const int ceiling_ms : {100, 200, 400, 800, 1000, 1000, 1000}) {
      const absl::Duration wait = backoff.Next();
      EXPECT_GT(wait, absl::Milliseconds(ceiling_ms) / 2);
      EXPECT_LE(wait, absl::Milliseconds(ceiling_ms));
    }
  }
}

TEST(Backoff, StaysAtTheCapHoweverManyAttempts) {
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(10)}, 1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(backoff.Next(), absl::Seconds(10));
  }
  EXPECT_GT(backoff.Next(), absl::Seconds(5));
}

TEST(Backoff, StartsOverAfterReset) {
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(10)}, 1);
  for (int i = 0; i < 5; ++i) {
    backoff.Next();
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(100));
}

TEST(Backoff, ClientsDoNotComeBackInStep) {
  std::set<absl::Duration> waits;
  absl::Duration shortest = absl::InfiniteDuration();
  absl::Duration longest = absl::ZeroDuration();
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const absl::Duration wait = Backoff({absl::Seconds(1), absl::Seconds(1)}, seed).Next();
    waits.insert(wait);
    shortest = std::min(shortest, wait);
    longest = std::max(longest, wait);
  }
  EXPECT_GT(waits.size(), 990u);
  EXPECT_LT(shortest, absl::Milliseconds(520));
  EXPECT_GT(longest, absl::Milliseconds(980));
}

TEST(Backoff, TheFirstAttemptsOfManyClientsFillTheirWindowEvenly) {
  constexpr absl::Duration kWindow = absl::Seconds(5);
  constexpr int kClients = 1000;
  std::vector<int> each_second(6);
  for (uint64_t seed = 0; seed < kClients; ++seed) {
    Backoff backoff({absl::Milliseconds(100), absl::Seconds(10)}, seed);
    const absl::Duration first = backoff.Next(kWindow);
    ASSERT_LE(first, kWindow + absl::Milliseconds(100));
    ++each_second[static_cast<size_t>(absl::ToDoubleSeconds(first))];
    EXPECT_LE(backoff.Next(kWindow), absl::Milliseconds(200)) << "then it goes on as ever";
    backoff.Reset();
  }
  for (int second = 0; second < 5; ++second) {
    EXPECT_NEAR(each_second[second], kClients / 5, 60) << second;  // five standard deviations
  }
}

}  // namespace
}  // namespace bitquake
