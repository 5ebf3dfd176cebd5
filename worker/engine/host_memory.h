// Tensors on the host that a device copies from or to while the host goes on. (Inside worker/engine
// only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

namespace bitquake {

// Uninitialised; in pinned memory if it is for a CUDA device.
inline at::Tensor HostTensor(at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  return at::empty(shape, at::TensorOptions(type).pinned_memory(device.is_cuda()));
}

// Queued on the current stream. Torch keeps pinned memory until the copy is done.
inline at::Tensor Upload(const at::Tensor& host, at::Device device) {
  return host.to(device, /*non_blocking=*/true);
}

}  // namespace bitquake
