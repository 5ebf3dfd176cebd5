#include "worker/engine/loaded_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/model/network_tensors.h"

namespace bitquake {
namespace {

absl::StatusOr<std::unique_ptr<ModelGraph>> MakeGraph(const Architecture& architecture,
                                                      const Weights& weights) {
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
  return absl::UnimplementedError(
      absl::StrCat(architecture.name, ": TorchScript is not supported"));
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
  ASSIGN_OR_RETURN(model->graph_, MakeGraph(snapshot.architecture, model->weights_));
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
  for (const auto& [tensor, kind] : NetworkTensors(snapshot.architecture, snapshot.Tensors())) {
    if (kind == TensorKind::kUnused || weights_.count(tensor.name) > 0) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<float> values, ToFloat(*snapshot.weights.Find(tensor.name)));
    at::Tensor loaded = at::empty(tensor.shape, at::kFloat);
    std::copy(values.begin(), values.end(), loaded.mutable_data_ptr<float>());
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
    digest.Update(tensor.const_data_ptr<float>(), tensor.numel() * sizeof(float));
  }
  return digest.Hex();
}

}  // namespace bitquake
