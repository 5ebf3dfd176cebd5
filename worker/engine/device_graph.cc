#include "worker/engine/device_graph.h"

#include <dlfcn.h>

namespace bitquake {

std::unique_ptr<GraphRecorder> MakeGraphRecorder(at::Device device) {
  if (!device.is_cuda()) {
    return nullptr;
  }
  // Its symbols are those of torch's CUDA libraries, which OpenDevice has loaded.
  void* plug_in = dlopen("libbitquake_cuda.so", RTLD_NOW | RTLD_LOCAL);
  if (plug_in == nullptr) {
    return nullptr;
  }
  const auto make =
      reinterpret_cast<GraphRecorder* (*)(int)>(dlsym(plug_in, "BitquakeMakeGraphRecorder"));
  return std::unique_ptr<GraphRecorder>(make == nullptr ? nullptr : make(device.index()));
}

}  // namespace bitquake
