#include "common/base/await.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace bitquake {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than any of the waits that should not last; a wall-clock wait under a clock that is an
// hour off lasts an hour, or no time.
constexpr absl::Duration kPatience = absl::Minutes(2);

absl::Duration Since(Clock::time_point start) { return absl::FromChrono(Clock::now() - start); }

bool AwaitNever(absl::Duration duration) {
  absl::Mutex mutex;
  bool never = false;
  absl::MutexLock lock(&mutex);
  return AwaitFor(mutex, absl::Condition(&never), duration);
}

TEST(AwaitFor, LastsAsLongAsItShould) {
  const Clock::time_point start = Clock::now();
  EXPECT_FALSE(AwaitNever(absl::Milliseconds(300)));
  EXPECT_GE(Since(start), absl::Milliseconds(300));
  EXPECT_LT(Since(start), kPatience);
}

TEST(AwaitFor, EndsWhenTheConditionBecomesTrue) {
  absl::Mutex mutex;
  bool ready = false;
  std::thread other([&] {
    absl::MutexLock lock(&mutex);
    ready = true;
  });
  const Clock::time_point start = Clock::now();
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(AwaitFor(mutex, absl::Condition(&ready), absl::Hours(1)));
  }
  EXPECT_LT(Since(start), kPatience);
  other.join();
}

TEST(AwaitFor, WithoutTimeOnlyLooks) {
  absl::Mutex mutex;
  const bool yes = true;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(AwaitFor(mutex, absl::Condition(&yes), -absl::InfiniteDuration()));
  EXPECT_FALSE(AwaitNever(absl::ZeroDuration()));
}

TEST(AwaitFor, ForEverEndsWithTheConditionAlone) {
  absl::Mutex mutex;
  bool ready = false;
  std::thread other([&] {
    absl::MutexLock lock(&mutex);
    ready = true;
  });
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(AwaitFor(mutex, absl::Condition(&ready), absl::InfiniteDuration()));
  }
  other.join();
}

TEST(AwaitFor, AShorterWaitDoesNotWaitForALongerOne) {
  absl::Mutex mutex;
  bool done = false;
  std::thread longer([&] {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(AwaitFor(mutex, absl::Condition(&done), absl::Hours(1)));
  });
  const Clock::time_point start = Clock::now();
  EXPECT_FALSE(AwaitNever(absl::Milliseconds(50)));
  EXPECT_LT(Since(start), kPatience);
  {
    absl::MutexLock lock(&mutex);
    done = true;
  }
  longer.join();
}

// Deadlines and conditions that come true at the same moment, on mutexes that end right after.
TEST(AwaitFor, ManyThatEndAtOnceAllEnd) {
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&ended, t] {
      for (int i = 0; i < 200; ++i) {
        absl::Mutex mutex;
        bool ready = false;
        std::thread other([&] {
          AwaitNever(absl::Microseconds(200 + 10 * t));
          absl::MutexLock lock(&mutex);
          ready = true;
        });
        {
          absl::MutexLock lock(&mutex);
          const bool reached =
              AwaitFor(mutex, absl::Condition(&ready), absl::Microseconds(200 + 10 * t));
          EXPECT_EQ(reached, ready);
        }
        other.join();
        ++ended;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(ended, 8 * 200);
}

}  // namespace
}  // namespace bitquake
