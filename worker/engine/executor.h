// How an evaluator runs the chunks of a fold: on the CPU's threads, or in order on a CUDA stream
// with the host running ahead. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"

namespace bitquake {

// Thread-compatible: one call at a time, but Read, which bodies call.
class Executor {
 public:
  virtual ~Executor() = default;

  // Chunks that are worked on at a time.
  virtual int parallel() const = 0;

  // Calls body(0) ... body(count - 1), each once, in inference mode. When it returns, the bodies
  // have ended; what they queued on a device may still run. `cancelled` is asked between chunks.
  // Errors: the first body's, or Cancelled; Abandon is to follow.
  virtual absl::Status Run(int64_t count, const std::function<absl::Status(int64_t)>& body,
                           const std::function<bool()>& cancelled) = 0;

  // For bodies: calls `use` with the logits on the host, in fp32 and contiguous, when they are
  // computed: at once, or on the calling thread of Run during a later body or Finish.
  using UseLogits = std::function<void(const at::Tensor&)>;
  virtual void Read(const at::Tensor& logits, UseLogits use) = 0;

  // Waits until everything that was queued is computed and every `use` was called.
  virtual absl::Status Finish() = 0;
  // Waits until everything that was queued is computed; logits that were not used yet never are.
  virtual void Abandon() = 0;
};

std::unique_ptr<Executor> MakeExecutor(at::Device device, int threads);

}  // namespace bitquake
