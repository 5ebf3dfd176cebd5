#include "worker/engine/loaded_model.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/digest.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/model/network_tensors.h"
#include "worker/engine/torch_script.h"

namespace bitquake {
namespace {

absl::StatusOr<std::unique_ptr<ModelGraph>> MakeGraph(const ModelSnapshot& snapshot,
                                                      const Weights& weights) {
  const Architecture& architecture = snapshot.architecture;
  switch (architecture.family()) {
    case Family::kVit:
      return MakeVit(std::get<VitShape>(architecture.network), weights);
    case Family::kSwin:
      return MakeSwin(std::get<SwinShape>(architecture.network), weights);
    case Family::kDeepVit:
      return MakeDeepVit(std::get<DeepVitShape>(architecture.network), weights);
    case Family::kTorchScript:
      break;
  }
  return MakeTorchScript(snapshot, weights);
}

// Empty for those that become fp32.
std::optional<at::ScalarType> OwnType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return std::nullopt;
    case DType::kF64:
      return at::kDouble;
    case DType::kI64:
      return at::kLong;
    case DType::kI32:
      return at::kInt;
    case DType::kI16:
      return at::kShort;
    case DType::kI8:
      return at::kChar;
    case DType::kU8:
      return at::kByte;
    case DType::kBool:
      return at::kBool;
  }
  return std::nullopt;
}

absl::StatusOr<at::Tensor> LoadFloats(const StoredTensor& stored) {
  ASSIGN_OR_RETURN(const std::vector<float> values, ToFloat(stored));
  at::Tensor tensor = at::empty(stored.shape, at::kFloat);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

// Of TorchScript, which may read counters and indices.
absl::StatusOr<at::Tensor> LoadAsItIs(const StoredTensor& stored) {
  const std::optional<at::ScalarType> type = OwnType(stored.dtype);
  if (!type) {
    return LoadFloats(stored);
  }
  at::Tensor tensor = at::empty(stored.shape, *type);
  std::copy(stored.bytes.begin(), stored.bytes.end(),
            static_cast<char*>(tensor.mutable_data_ptr()));
  return tensor;
}

// Weights that a graph reads through Linear alone, which can scale its product.
bool IsProjection(absl::string_view name) {
  static constexpr absl::string_view kLayers[] = {
      "patch_embed.proj", "attn.qkv", "attn.proj",           "mlp.fc1", "mlp.fc2", "head",
      "head_dist",        "head.fc",  "downsample.reduction"};
  return absl::ConsumeSuffix(&name, ".weight") &&
         std::any_of(std::begin(kLayers), std::end(kLayers), [&](absl::string_view layer) {
           return name == layer || absl::EndsWith(name, absl::StrCat(".", layer));
         });
}

// bf16 holds all integers up to 2^8.
bool ExactInHalves(const NumberFormat& format) {
  return format.kind == NumberFormat::Kind::kInt && format.bits <= 8;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Load(
    const ModelSnapshot& snapshot, const Surface& surface, NumberFormat format,
    const Quantization& quantization, at::Device device, const ComputeMode& compute) {
  const bool script = snapshot.architecture.family() == Family::kTorchScript;
  if (script && compute.type != at::kFloat) {
    return absl::UnimplementedError(
        absl::StrCat(snapshot.path, ": TorchScript is computed in fp32 or tf32 only"));
  }
  std::unique_ptr<LoadedModel> model(new LoadedModel(format, quantization, device, compute));
  model->name_ = snapshot.path;
  model->num_classes_ = snapshot.architecture.num_classes;
  const absl::Status loaded = model->LoadWeights(snapshot, surface);
  if (!loaded.ok()) {
    return Annotate(loaded, snapshot.path);
  }
  if (!model->in_place()) {
    model->MoveToDevice(surface, script);
  }
  absl::StatusOr<std::unique_ptr<ModelGraph>> graph = MakeGraph(snapshot, model->weights_);
  if (!graph.ok()) {
    return Annotate(graph.status(), snapshot.path);
  }
  model->graph_ = *std::move(graph);
  for (const SurfaceTensor& tensor : surface) {
    model->stage_of_.push_back(model->graph_->StageOf(tensor.name));
  }
  if (model->in_place()) {
    model->digest_ = model->Digest();
  }
  return model;
}

absl::Status LoadedModel::LoadWeights(const ModelSnapshot& snapshot, const Surface& surface) {
  for (const SurfaceTensor& tensor : surface) {
    const StoredTensor* stored = snapshot.weights.Find(tensor.name);
    if (stored == nullptr || stored->shape != tensor.shape) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", tensor.name, "' of the surface is not that of the weights"));
    }
    ASSIGN_OR_RETURN(const std::vector<float> values, ToFloat(*stored));
    ASSIGN_OR_RETURN(weights_[tensor.name], words_.Add(tensor, values));
  }
  const bool script = snapshot.architecture.family() == Family::kTorchScript;
  for (const auto& [tensor, kind] : NetworkTensors(snapshot.architecture, snapshot.Tensors())) {
    if ((kind == TensorKind::kUnused && !script) || weights_.count(tensor.name) > 0) {
      continue;
    }
    const StoredTensor& stored = *snapshot.weights.Find(tensor.name);
    ASSIGN_OR_RETURN(const at::Tensor loaded, script ? LoadAsItIs(stored) : LoadFloats(stored));
    weights_[tensor.name] = loaded;
    beside_.push_back(tensor.name);
  }
  return absl::OkStatus();
}

void LoadedModel::MoveToDevice(const Surface& surface, bool script) {
  std::vector<bool> as_integers;
  for (size_t t = 0; t < surface.size(); ++t) {
    const Scales& scales = words_.scales(static_cast<int>(t));
    as_integers.push_back(!script && compute_.type != at::kFloat && ExactInHalves(format_) &&
                          scales.values.size() == 1 && IsProjection(surface[t].name));
    if (as_integers.back()) {
      weights_.scales[surface[t].name] = scales.values[0];
    }
  }
  memory_.emplace(&words_, device_, compute_.type, std::move(as_integers));
  for (size_t t = 0; t < surface.size(); ++t) {
    weights_[surface[t].name] = memory_->values(static_cast<int>(t));
  }
  for (const std::string& name : beside_) {
    at::Tensor& weight = weights_[name];
    weight = weight.is_floating_point() && !script ? weight.to(device_, compute_.type)
                                                   : weight.to(device_);
    as_loaded_.push_back(weight.clone());
  }
}

int LoadedModel::FirstFaultyStage(const FaultList& faults) const {
  int first = graph_->stage_count();
  for (const TensorFaults& hit : faults.tensors) {
    if (!hit.faults.empty()) {
      first = std::min(first, stage_of_[hit.tensor]);
    }
  }
  return first == graph_->stage_count() ? 0 : first;
}

StagedFlips LoadedModel::Stage(const FaultList& flips) const {
  const c10::InferenceMode inference_mode;
  const c10::OptionalDeviceGuard guard(device_);
  return {&flips, memory_ ? memory_->Stage(flips) : WordMemory::Staged{}};
}

absl::StatusOr<std::vector<int64_t>> LoadedModel::Patch(const StagedFlips& staged) {
  if (!memory_) {
    return words_.Patch(*staged.flips);
  }
  memory_->Patch(staged.uploaded);
  return staged.flips->FlipsPerBit(format_.bits);
}

void LoadedModel::Undo(const StagedFlips& staged) {
  if (memory_) {
    memory_->Undo(staged.uploaded);
  } else {
    words_.Undo(*staged.flips);
  }
}

absl::Status LoadedModel::Prove() {
  constexpr absl::string_view kChanged =
      "weights differ from those loaded after all trials were undone";
  if (!memory_) {
    return Digest() == digest_ ? absl::OkStatus()
                               : absl::DataLossError(absl::StrCat(name_, ": ", kChanged));
  }
  const absl::Status proof = memory_->Prove();
  if (!proof.ok()) {
    return Annotate(proof, name_);
  }
  for (size_t i = 0; i < beside_.size(); ++i) {
    const at::Tensor& weight = weights_.at(beside_[i]);
    const auto bytes = [](const at::Tensor& tensor) {
      return tensor.reshape({-1}).view(at::kByte);
    };
    if (!at::equal(bytes(weight), bytes(as_loaded_[i]))) {
      return absl::DataLossError(absl::StrCat(name_, ": ", beside_[i], ": ", kChanged));
    }
  }
  return absl::OkStatus();
}

std::string LoadedModel::Digest() const {
  Xxh3 digest;
  digest.UpdateText(words_.Digest());
  for (const std::string& name : beside_) {
    const at::Tensor& tensor = weights_.at(name);
    digest.Update(tensor.const_data_ptr(), tensor.nbytes());
  }
  return digest.Hex();
}

}  // namespace bitquake
