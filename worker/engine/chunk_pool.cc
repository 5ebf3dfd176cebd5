#include "worker/engine/chunk_pool.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "worker/engine/torch_errors.h"

namespace bitquake {

ChunkPool::ChunkPool(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

ChunkPool::~ChunkPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

absl::Status ChunkPool::Run(int64_t count, const std::function<absl::Status(int64_t)>& body,
                            const std::function<bool()>& cancelled) {
  if (cancelled()) {
    return absl::CancelledError("cancelled");
  }
  absl::MutexLock lock(&mutex_);
  body_ = &body;
  status_ = absl::OkStatus();
  finished_ = 0;
  next_ = 0;
  end_ = count;
  int64_t seen = 0;
  while (next_ < end_ || running_ > 0) {
    const auto progressed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return finished_ > seen || (next_ >= end_ && running_ == 0);
    };
    mutex_.Await(absl::Condition(&progressed));
    seen = finished_;
    if (next_ >= end_) {
      continue;  // nothing left that could be cancelled
    }
    mutex_.Unlock();
    const bool stop = cancelled();
    mutex_.Lock();
    if (stop && next_ < end_) {
      end_ = next_;
      if (status_.ok()) {
        status_ = absl::CancelledError("cancelled");
      }
    }
  }
  return status_;
}

void ChunkPool::Work() {
  at::set_num_threads(1);
  const c10::InferenceMode inference_mode;
  absl::MutexLock lock(&mutex_);
  for (;;) {
    mutex_.Await(absl::Condition(this, &ChunkPool::HasWork));
    if (stopping_) {
      return;
    }
    const int64_t chunk = next_++;
    const auto* body = body_;
    ++running_;
    mutex_.Unlock();
    const absl::Status status = WithoutExceptions([&] { return (*body)(chunk); });
    mutex_.Lock();
    --running_;
    ++finished_;
    if (!status.ok() && status_.ok()) {
      status_ = status;
      end_ = next_;
    }
  }
}

}  // namespace bitquake
