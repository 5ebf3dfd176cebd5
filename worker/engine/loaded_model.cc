#include "worker/engine/loaded_model.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
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

}  // namespace

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Load(const ModelSnapshot& snapshot,
                                                               const Surface& surface,
                                                               NumberFormat format,
                                                               const Quantization& quantization) {
  std::unique_ptr<LoadedModel> model(new LoadedModel(format, quantization));
  model->name_ = snapshot.path;
  model->num_classes_ = snapshot.architecture.num_classes;
  const absl::Status loaded = model->LoadWeights(snapshot, surface);
  if (!loaded.ok()) {
    return Annotate(loaded, snapshot.path);
  }
  absl::StatusOr<std::unique_ptr<ModelGraph>> graph = MakeGraph(snapshot, model->weights_);
  if (!graph.ok()) {
    return Annotate(graph.status(), snapshot.path);
  }
  model->graph_ = *std::move(graph);
  for (const SurfaceTensor& tensor : surface) {
    model->stage_of_.push_back(model->graph_->StageOf(tensor.name));
  }
  model->digest_ = model->Digest();
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
    unquantised_.push_back(loaded);
  }
  return absl::OkStatus();
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

std::string LoadedModel::Digest() const {
  Xxh3 digest;
  digest.UpdateText(words_.Digest());
  for (const at::Tensor& tensor : unquantised_) {
    digest.Update(tensor.const_data_ptr(), tensor.nbytes());
  }
  return digest.Hex();
}

}  // namespace bitquake
