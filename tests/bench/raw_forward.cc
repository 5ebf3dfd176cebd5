// Bare forward passes of a vision transformer with random weights: the speed that a campaign is
// measured against.
//
//   raw_forward [--device cpu|cuda[:i]] [--compute fp32|tf32|bf16|fp16] [--batch N] ARCHITECTURE
//
// ARCHITECTURE is a timm name such as vit_base_patch16_224.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>
#include <algorithm>
#include <chrono>

#include "common/model/architecture.h"
#include "common/model/vit_tensors.h"
#include "worker/engine/evaluator.h"
#include "worker/engine/model_graph.h"

using namespace bitquake;

static void (*device_sync)() = nullptr;

int main(int, char** argv) {
  PrepareProcess();
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  std::string device = argv[1], compute = argv[2];
  int batch = atoi(argv[3]);
  VitShape shape;
  shape.image = atoi(argv[4]); shape.patch = atoi(argv[5]); shape.width = atoi(argv[6]);
  shape.depth = atoi(argv[7]); shape.heads = atoi(argv[8]); shape.mlp_hidden = 4 * shape.width;
  if (device != "cpu") {
    if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    auto* sync = dlsym(RTLD_DEFAULT, "cudaDeviceSynchronize");
    if (!sync) { void* h = dlopen("libcudart.so.13", RTLD_NOW | RTLD_GLOBAL); sync = h ? dlsym(h, "cudaDeviceSynchronize") : nullptr; }
    device_sync = reinterpret_cast<void (*)()>(sync);
    if (!device_sync) { fprintf(stderr, "no cudart\n"); return 1; }
  }
  at::globalContext().setAllowTF32CuBLAS(compute == "tf32");
  at::globalContext().setAllowTF32CuDNN(compute == "tf32");
  c10::InferenceMode mode;
  const auto dtype = compute == "bf16" ? at::kBFloat16 : compute == "fp16" ? at::kHalf : at::kFloat;
  Architecture architecture;
  architecture.num_classes = 1000;
  architecture.vit = shape;
  Weights weights;
  for (const TensorInfo& t : VitTensors(shape, 1000)) {
    weights[t.name] = (at::randn(t.shape, at::kFloat) * 0.02).to(at::Device(device)).to(dtype);
  }
  auto graph = MakeVit(architecture, weights);
  at::Tensor x = at::randn({batch, 3, shape.image, shape.image}, at::kFloat).to(at::Device(device)).to(dtype);
  auto run = [&] { return graph->RunFrom(0, x); };
  for (int i = 0; i < 10; ++i) run();
  if (device_sync) device_sync();
  std::vector<double> rates;
  for (int round = 0; round < 7; ++round) {
    const int n = 10;
    auto t0 = std::chrono::steady_clock::now();
    for (int i = 0; i < n; ++i) run();
    if (device_sync) device_sync();
    double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
    rates.push_back(n * batch / s);
  }
  std::sort(rates.begin(), rates.end());
  printf("c++ %d/%d w%d d%d %s batch %d: median %.0f images/s (min %.0f max %.0f)\n", shape.image, shape.patch, shape.width, shape.depth, compute.c_str(), batch, rates[3], rates[0], rates[6]);
}
