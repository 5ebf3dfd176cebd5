// Kernels of a CUDA device, recorded once and then started as one, which saves the host's work for
// each. What needs CUDA's headers is a plug-in library, libbitquake_cuda.so, that is loaded from
// where the program's other libraries are. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>

namespace bitquake {

class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  // Queues on the current stream what was recorded: the same kernels on the same memory.
  virtual void Replay() = 0;
};

// Thread-compatible; other threads may use the device meanwhile. Throws what torch throws.
class GraphRecorder {
 public:
  virtual ~GraphRecorder() = default;
  // Calls `body` twice: the first time it is computed; the second time what it queues is recorded,
  // not computed. The tensors that it makes and that outlive it keep their memory; the memory of
  // the others is shared with all that this object records, so two replays must not overlap. Waits
  // for the device before and behind.
  virtual std::unique_ptr<DeviceGraph> Record(const std::function<void()>& body) = 0;
};

// Null if `device` is no CUDA device, or if the plug-in does not load.
std::unique_ptr<GraphRecorder> MakeGraphRecorder(at::Device device);

}  // namespace bitquake
