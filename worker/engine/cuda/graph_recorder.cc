// The plug-in: CUDA graphs by torch's own class for them.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "worker/engine/device_graph.h"

namespace bitquake {
namespace {

class CudaGraph : public DeviceGraph {
 public:
  void Replay() override { graph_.replay(); }
  at::cuda::CUDAGraph& graph() { return graph_; }

 private:
  at::cuda::CUDAGraph graph_;
};

class CudaGraphRecorder : public GraphRecorder {
 public:
  explicit CudaGraphRecorder(int device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false,
                                             static_cast<c10::DeviceIndex>(device))),
        pool_(at::cuda::graph_pool_handle()) {}

  std::unique_ptr<DeviceGraph> Record(const std::function<void()>& body) override {
    // The library workspaces of stream_ are those of all that was recorded.
    c10::cuda::device_synchronize();
    auto recorded = std::make_unique<CudaGraph>();
    {
      const c10::cuda::CUDAStreamGuard guard(stream_);
      body();  // what is made once, such as workspaces, is no part of the recording
      stream_.synchronize();
      // Other threads may allocate and copy on the device while this one records.
      recorded->graph().capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
      try {
        body();
      } catch (...) {
        EndBroken(recorded->graph());
        throw;
      }
      recorded->graph().capture_end();
    }
    c10::cuda::device_synchronize();
    return recorded;
  }

 private:
  // The stream must leave its recording, whatever becomes of that.
  static void EndBroken(at::cuda::CUDAGraph& graph) {
    try {
      graph.capture_end();
    } catch (const std::exception&) {  // the first error is the one to tell
    }
  }

  const c10::cuda::CUDAStream stream_;
  const c10::MempoolId_t pool_;
};

}  // namespace
}  // namespace bitquake

extern "C" __attribute__((visibility("default"))) bitquake::GraphRecorder*
BitquakeMakeGraphRecorder(int device) {
  return new bitquake::CudaGraphRecorder(device);
}
