// A fixed set of threads that run chunks, one chunk a thread at a time. Torch runs single-threaded
// in each: a forward's sums then do not depend on how many threads there are, and at these sizes a
// thread per chunk is also faster than threads within an operator.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace bitquake {

// Thread-compatible: one Run at a time.
class ChunkPool {
 public:
  explicit ChunkPool(int threads);
  ~ChunkPool();

  int threads() const { return static_cast<int>(threads_.size()); }

  // Calls body(0) ... body(count - 1), each once, on the pool's threads in inference mode; returns
  // when all that were started have ended. `cancelled` is asked on the calling thread, before the
  // first chunk and after each. Errors: the first body's (no further chunks start); Cancelled.
  absl::Status Run(int64_t count, const std::function<absl::Status(int64_t)>& body,
                   const std::function<bool()>& cancelled);

 private:
  void Work();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || next_ < end_; }

  absl::Mutex mutex_;
  const std::function<absl::Status(int64_t)>* body_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t end_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t finished_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace bitquake
