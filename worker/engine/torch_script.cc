#include "worker/engine/torch_script.h"

#include <torch/script.h>

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

std::string MessageOf(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  return torch_error ? torch_error->what_without_backtrace() : error.what();
}

// An error while code runs quotes the code; what is wrong stands in its last line.
std::string LastLine(const std::exception& error) {
  const std::string text = MessageOf(error);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  return lines.empty() ? "unknown error" : lines.back();
}

std::string FirstLine(const std::exception& error) {
  const std::string text = MessageOf(error);
  return text.substr(0, text.find('\n'));
}

std::string ShapeText(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

absl::StatusOr<torch::jit::Module> LoadModule(const std::string& path, at::Device device) {
  try {
    torch::jit::Module module = torch::jit::load(path, device);
    module.eval();
    return module;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.ts cannot be read as TorchScript: ", FirstLine(error)));
  }
}

// The module's tensor keeps its identity and takes over the storage of the weight.
absl::Status Share(const std::string& name, at::Tensor tensor, const Weights& weights) {
  const auto found = weights.find(name);
  if (found == weights.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.ts has a tensor '", name, "' ", ShapeText(tensor),
                     " that model.safetensors has not; save both from one network"));
  }
  const at::Tensor& weight = found->second;
  if (tensor.sizes() != weight.sizes()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' is ", ShapeText(tensor),
                                                   " in model.ts and ", ShapeText(weight),
                                                   " in model.safetensors"));
  }
  if (tensor.scalar_type() != weight.scalar_type()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor '", name, "' of model.ts is ", c10::toString(tensor.scalar_type()), ", should be ",
        c10::toString(weight.scalar_type()), "; save the network in fp32"));
  }
  tensor.set_data(weight);
  return absl::OkStatus();
}

absl::Status ShareAll(const torch::jit::Module& module, const Weights& weights) {
  std::set<std::string> shared;
  for (const auto& parameter : module.named_parameters()) {
    RETURN_IF_ERROR(Share(parameter.name, parameter.value, weights));
    shared.insert(parameter.name);
  }
  for (const auto& buffer : module.named_buffers()) {
    RETURN_IF_ERROR(Share(buffer.name, buffer.value, weights));
    shared.insert(buffer.name);
  }
  for (const auto& [name, weight] : weights) {
    if (shared.count(name) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("model.safetensors has a tensor '", name, "' ", ShapeText(weight),
                       " that model.ts has not (is it frozen?); save both from one network"));
    }
  }
  return absl::OkStatus();
}

class TorchScript : public ModelGraph {
 public:
  TorchScript(torch::jit::Module module, const Architecture& architecture)
      : module_(std::move(module)),
        classes_(architecture.num_classes),
        image_{3, architecture.preprocessing.height, architecture.preprocessing.width} {}

  int stage_count() const override { return 1; }
  int StageOf(absl::string_view /*weight*/) const override { return 0; }

  Activations RunStage(int /*stage*/, const Activations& in) const override {
    const at::Tensor& x = in.x;
    // The optimiser would compile another program after the first runs, whose sums may differ.
    const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
    // The code may write to its input.
    const at::IValue output = module_.get_method("forward")({x.clone()});
    TORCH_CHECK(output.isTensor(), "model.ts gives a ", output.tagKind(),
                ", should give a tensor of logits");
    const at::Tensor& logits = output.toTensor();
    TORCH_CHECK(logits.scalar_type() == at::kFloat && logits.dim() == 2 &&
                    logits.size(0) == x.size(0) && logits.size(1) == classes_,
                "model.ts gives ", c10::toString(logits.scalar_type()), " ", logits.sizes(),
                ", should give fp32 logits [", x.size(0), ", ", classes_, "]");
    return logits.contiguous();
  }

  bool Recordable() const override { return false; }
  int64_t InputSize(int /*stage*/) const override { return image_[0] * image_[1] * image_[2]; }

  absl::Status Try(at::Device device) const {
    const at::InferenceMode inference_mode;
    try {
      RunStage(0, at::zeros({1, image_[0], image_[1], image_[2]}, device));
      return absl::OkStatus();
    } catch (const std::exception& error) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model.ts fails on an image [1, ", absl::StrJoin(image_, ", "), "]: ", LastLine(error)));
    }
  }

 private:
  const torch::jit::Module module_;
  const int64_t classes_;
  const std::array<int64_t, 3> image_;  // channels, height, width
};

}  // namespace

absl::StatusOr<std::unique_ptr<ModelGraph>> MakeTorchScript(const ModelSnapshot& snapshot,
                                                            const Weights& weights) {
  const at::Device device = weights.empty() ? at::kCPU : weights.begin()->second.device();
  ASSIGN_OR_RETURN(torch::jit::Module module, LoadModule(snapshot.script_path, device));
  RETURN_IF_ERROR(ShareAll(module, weights));
  auto graph = std::make_unique<TorchScript>(std::move(module), snapshot.architecture);
  RETURN_IF_ERROR(graph->Try(device));
  return std::unique_ptr<ModelGraph>(std::move(graph));
}

}  // namespace bitquake
