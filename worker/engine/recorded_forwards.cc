#include "worker/engine/recorded_forwards.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "worker/engine/torch_errors.h"

namespace bitquake {
namespace {

// Of the time of a pass that begins on an idle device, what the host may take to queue it. Where it
// takes less, the device has work left when the host is done, and in a row of passes never waits.
constexpr double kHostShare = 0.85;

// Recording a pass takes as long as a few of them. So passes that come often are looked at, after
// 8, 16, 32... of them: one look may meet a host that is slow for a moment only.
bool IsToBeObserved(int64_t calls) { return calls >= 8 && (calls & (calls - 1)) == 0; }

Activations LikeInput(const Activations& in) {
  return {at::empty_like(in.x), in.branch.defined() ? at::empty_like(in.branch) : at::Tensor()};
}

void Copy(const Activations& from, Activations& to) {
  to.x.copy_(from.x);
  if (from.branch.defined()) {
    to.branch.copy_(from.branch);
  }
}

}  // namespace

RecordedForwards::RecordedForwards(const ModelGraph* graph, at::Device device, Recording recording)
    : graph_(graph),
      device_(device),
      recording_(graph->Recordable() ? recording : Recording::kNever),
      recorder_(recording_ == Recording::kNever ? nullptr : MakeGraphRecorder(device)) {}

at::Tensor RecordedForwards::RunFrom(int stage, const Activations& in) {
  if (recorder_ == nullptr) {
    return graph_->RunFrom(stage, in);
  }
  Pass& pass = passes_[{stage, in.x.size(0)}];
  if (pass.recording != nullptr) {
    Copy(in, pass.input);
    pass.recording->Replay();
    return pass.logits;
  }
  ++pass.calls;
  // The first pass also makes what is made once.
  const bool observe =
      recording_ == Recording::kAlways ? pass.calls == 2 : IsToBeObserved(pass.calls);
  return observe && given_up_.empty() ? Observe(stage, in, pass) : graph_->RunFrom(stage, in);
}

at::Tensor RecordedForwards::Observe(int stage, const Activations& in, Pass& pass) {
  at::accelerator::synchronizeDevice(device_.index());
  const absl::Duration start = SystemClock().Monotonic();
  at::Tensor logits = graph_->RunFrom(stage, in);
  const absl::Duration queued = SystemClock().Monotonic() - start;
  at::accelerator::synchronizeDevice(device_.index());
  const absl::Duration computed = SystemClock().Monotonic() - start;
  if (recording_ == Recording::kAlways || queued > kHostShare * computed) {
    Record(stage, in, logits, pass);
  }
  return logits;
}

void RecordedForwards::Record(int stage, const Activations& in, const at::Tensor& logits,
                              Pass& pass) {
  const absl::Status status = WithoutExceptions([&] {
    pass.input = LikeInput(in);
    Copy(in, pass.input);
    std::unique_ptr<DeviceGraph> recording =
        recorder_->Record([&] { pass.logits = graph_->RunFrom(stage, pass.input); });
    recording->Replay();
    if (!at::equal(pass.logits, logits)) {
      return absl::InternalError("its logits differ");
    }
    pass.recording = std::move(recording);
    return absl::OkStatus();
  });
  if (!status.ok()) {
    given_up_ = std::string(status.message());
    pass = Pass{pass.calls, {}, {}, nullptr};
  }
}

void RecordedForwards::Stop() {
  passes_.clear();
  recorder_.reset();
}

int RecordedForwards::recorded() const {
  return static_cast<int>(std::count_if(passes_.begin(), passes_.end(), [](const auto& pass) {
    return pass.second.recording != nullptr;
  }));
}

}  // namespace bitquake
