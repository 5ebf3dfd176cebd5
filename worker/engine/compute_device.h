// Where and how a network is computed: the CPU, or a CUDA device that is found at run time. The
// program links only torch's CPU libraries; libtorch_cuda.so is loaded when a CUDA device is first
// asked for, so one binary serves both. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// "cpu", "cuda" (the first), "cuda:1". Sets what makes torch's CUDA libraries reproducible. Errors:
// InvalidArgument for another name; FailedPrecondition if there is no such device, saying what to
// do.
absl::StatusOr<at::Device> OpenDevice(absl::string_view name);

// How matrix products are computed: `compute` of the campaign.
struct ComputeMode {
  at::ScalarType type = at::kFloat;  // of weights and activations
  bool tf32 = false;  // products of fp32 numbers on tensor cores, 10 bits of mantissa
};

// "fp32" (TF32 off), "tf32", "bf16", "fp16". Errors: InvalidArgument; Unimplemented for tf32 on the
// CPU.
absl::StatusOr<ComputeMode> ParseComputeMode(absl::string_view name, at::Device device);

// Torch keeps TF32 as a switch of the process: to be called before computing.
void UseComputeMode(const ComputeMode& mode, at::Device device);

// Bytes of a CUDA device's memory that torch may still use: those that are free, or that its
// allocator keeps for reuse.
int64_t FreeBytes(at::Device device);

}  // namespace bitquake
