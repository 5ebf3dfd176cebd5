#include "worker/engine/executor.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>

#include <deque>
#include <utility>

#include "common/base/status_macros.h"
#include "worker/engine/chunk_pool.h"
#include "worker/engine/host_memory.h"
#include "worker/engine/torch_errors.h"

namespace bitquake {
namespace {

class ThreadsExecutor : public Executor {
 public:
  explicit ThreadsExecutor(int threads) : pool_(threads) {}

  int parallel() const override { return pool_.threads(); }
  absl::Status Run(int64_t count, const std::function<absl::Status(int64_t)>& body,
                   const std::function<bool()>& cancelled) override {
    return pool_.Run(count, body, cancelled);
  }
  void Read(const at::Tensor& logits, UseLogits use) override {
    use(logits.to(at::kFloat).contiguous());
  }
  absl::Status Finish() override { return absl::OkStatus(); }
  void Abandon() override {}

 private:
  ChunkPool pool_;
};

// The host queues chunks and uses the logits of each a few chunks later, so that the device never
// waits for it.
class StreamExecutor : public Executor {
 public:
  explicit StreamExecutor(at::Device device) : device_(device) {}

  int parallel() const override { return 1; }

  absl::Status Run(int64_t count, const std::function<absl::Status(int64_t)>& body,
                   const std::function<bool()>& cancelled) override {
    const c10::InferenceMode inference_mode;
    const c10::DeviceGuard guard(device_);
    for (int64_t i = 0; i < count; ++i) {
      const absl::Status status = cancelled() ? absl::CancelledError("cancelled")
                                              : WithoutExceptions([&] { return body(i); });
      RETURN_IF_ERROR(status);
    }
    return absl::OkStatus();
  }

  void Read(const at::Tensor& logits, UseLogits use) override {
    // On the device the conversion is queued; copying to another type would wait for it.
    const at::Tensor floats = logits.to(at::kFloat).contiguous();
    at::Tensor host = HostTensor(floats.sizes(), at::kFloat, device_);
    host.copy_(floats, /*non_blocking=*/true);
    c10::Event copied(device_.type());
    copied.record(at::accelerator::getCurrentStream(device_.index()));
    pending_.push_back({std::move(host), std::move(copied), std::move(use)});
    while (pending_.size() > kAhead) {
      UseOldest();
    }
  }

  absl::Status Finish() override {
    const c10::InferenceMode inference_mode;
    const c10::DeviceGuard guard(device_);
    return WithoutExceptions([&] {
      while (!pending_.empty()) {
        UseOldest();
      }
      at::accelerator::synchronizeDevice(device_.index());
      return absl::OkStatus();
    });
  }

  void Abandon() override {
    const absl::Status ignored = WithoutExceptions([&] {
      at::accelerator::synchronizeDevice(device_.index());
      return absl::OkStatus();
    });
    pending_.clear();
  }

 private:
  // Chunks that may be queued and not used. Also how late a cancelled lease stops.
  static constexpr size_t kAhead = 3;

  struct Pending {
    at::Tensor logits;
    c10::Event copied;
    UseLogits use;
  };

  void UseOldest() {
    const Pending oldest = std::move(pending_.front());
    pending_.pop_front();
    oldest.copied.synchronize();
    oldest.use(oldest.logits);
  }

  const at::Device device_;
  std::deque<Pending> pending_;
};

}  // namespace

std::unique_ptr<Executor> MakeExecutor(at::Device device, int threads) {
  if (device.is_cpu()) {
    return std::make_unique<ThreadsExecutor>(threads);
  }
  return std::make_unique<StreamExecutor>(device);
}

}  // namespace bitquake
