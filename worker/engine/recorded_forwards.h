// Forward passes that are replayed as CUDA graphs, where the host takes longer to start their
// kernels than the device to run them. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "worker/engine/device_graph.h"
#include "worker/engine/model_graph.h"

namespace bitquake {

enum class Recording { kNever, kWhereItHelps, kAlways };

// Thread-compatible; with Recording::kNever, and on the CPU, as thread-safe as the graph.
class RecordedForwards {
 public:
  // `graph` must outlive this object.
  RecordedForwards(const ModelGraph* graph, at::Device device, Recording recording);

  // graph.RunFrom, bit for bit: a recording is used only if its first replay gave the logits that
  // were computed without it. The logits stand until the next call.
  at::Tensor RunFrom(int stage, const Activations& in);

  // Gives its memory back, and records no more.
  void Stop();

  int recorded() const;  // passes that are replayed
  // Why a recording was given up, and no more were made; empty if none was.
  const std::string& given_up() const { return given_up_; }

 private:
  struct Pass {
    int64_t calls = 0;
    Activations input;  // what the recording reads
    at::Tensor logits;  // and writes
    std::unique_ptr<DeviceGraph> recording;
  };

  at::Tensor Observe(int stage, const Activations& in, Pass& pass);
  void Record(int stage, const Activations& in, const at::Tensor& logits, Pass& pass);

  const ModelGraph* graph_;
  const at::Device device_;
  Recording recording_;
  std::unique_ptr<GraphRecorder> recorder_;
  std::map<std::pair<int, int64_t>, Pass> passes_;  // by stage and images
  std::string given_up_;
};

}  // namespace bitquake
