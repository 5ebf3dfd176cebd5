// A model in memory: the words of its fault surface in a number format, the weights that the
// network reads, and the network over them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/number_format.h"
#include "common/model/snapshot.h"
#include "worker/engine/model_graph.h"
#include "worker/engine/stored_words.h"

namespace bitquake {

// Thread-compatible; the graph may run on several threads while no word is being written.
class LoadedModel {
 public:
  // Errors: InvalidArgument, the folder and the tensor named.
  static absl::StatusOr<std::unique_ptr<LoadedModel>> Load(const ModelSnapshot& snapshot,
                                                           const Surface& surface,
                                                           NumberFormat format,
                                                           const Quantization& quantization);

  const std::string& name() const { return name_; }  // the folder
  int num_classes() const { return num_classes_; }
  const ModelGraph& graph() const { return *graph_; }
  StoredWords& words() { return words_; }
  const StoredWords& words() const { return words_; }
  const Weights& weights() const { return weights_; }

  // The first stage that a trial can resume from: 0 if nothing is faulty.
  int FirstFaultyStage(const FaultList& faults) const;

  // Whether all words, their values and the weights beside them are bit for bit those that were
  // loaded.
  bool IsGolden() const { return Digest() == digest_; }

 private:
  LoadedModel(NumberFormat format, const Quantization& quantization)
      : words_(format, quantization) {}

  absl::Status LoadWeights(const ModelSnapshot& snapshot, const Surface& surface);
  std::string Digest() const;

  std::string name_;
  int num_classes_ = 0;
  StoredWords words_;
  Weights weights_;
  std::vector<at::Tensor> unquantised_;  // the weights outside of the surface
  std::unique_ptr<ModelGraph> graph_;
  std::vector<int> stage_of_;  // by tensor of the surface
  std::string digest_;         // as loaded
};

}  // namespace bitquake
