// What arrives on other threads, for a test to take in order.
#pragma once

#include <deque>
#include <stdexcept>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bitquake {

// Thread-safe.
template <typename T>
class Inbox {
 public:
  // Destroys the item if the inbox is closed.
  void Push(T item) {
    absl::MutexLock lock(&mutex_);
    if (!closed_) {
      items_.push_back(std::move(item));
    }
  }

  // Waits. Throws, which fails the test, where nothing comes: a failure, not a test that hangs.
  T Pop(absl::Duration patience = absl::Seconds(60)) {
    absl::MutexLock lock(&mutex_);
    auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !items_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&any), patience)) {
      throw std::runtime_error("what the test waits for did not come");
    }
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  bool empty() {
    absl::MutexLock lock(&mutex_);
    return items_.empty();
  }

  // Destroys what is in it and what still comes.
  void Close() {
    std::deque<T> items;
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    items.swap(items_);
  }

 private:
  absl::Mutex mutex_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bitquake
