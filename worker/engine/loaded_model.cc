#include "worker/engine/loaded_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace bitquake {

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
  model->graph_ = MakeVit(snapshot.architecture, model->weights_);
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
  for (const StoredTensor& stored : snapshot.weights.tensors()) {
    if (weights_.count(stored.name) > 0) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<float> values, ToFloat(stored));
    at::Tensor tensor = at::empty(stored.shape, at::kFloat);
    std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
    weights_[stored.name] = tensor;
    unquantised_.push_back(tensor);
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
