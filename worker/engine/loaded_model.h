// A model in memory: the words of its fault surface in a number format, the weights that the
// network reads, on the device that computes, and the network over them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/number_format.h"
#include "common/model/snapshot.h"
#include "worker/engine/compute_device.h"
#include "worker/engine/model_graph.h"
#include "worker/engine/stored_words.h"
#include "worker/engine/word_memory.h"

namespace bitquake {

// A trial's flips, ready for Patch.
struct StagedFlips {
  const FaultList* flips = nullptr;
  WordMemory::Staged uploaded;  // on a device
};

// Thread-compatible; the graph may run on several threads while no word is being written.
//
// On the CPU in fp32 the words and values that trials change are those of StoredWords. In other
// modes and on other devices they are a copy, WordMemory's; what StoredWords holds stays golden.
class LoadedModel {
 public:
  // Errors: InvalidArgument, the folder and the tensor named; Unimplemented for TorchScript in
  // another type than fp32.
  static absl::StatusOr<std::unique_ptr<LoadedModel>> Load(
      const ModelSnapshot& snapshot, const Surface& surface, NumberFormat format,
      const Quantization& quantization, at::Device device, const ComputeMode& compute);

  const std::string& name() const { return name_; }  // the folder
  int num_classes() const { return num_classes_; }
  const ModelGraph& graph() const { return *graph_; }
  const StoredWords& words() const { return words_; }  // for what faults are on golden's words
  const Weights& weights() const { return weights_; }

  // Whether trials change StoredWords' own words: staging is no work then.
  bool in_place() const { return device_.is_cpu() && compute_.type == at::kFloat; }

  // The first stage that a trial can resume from: 0 if nothing is faulty.
  int FirstFaultyStage(const FaultList& faults) const;

  // `flips` has passed the words' Check, has the effect kFlip and must outlive what is returned.
  // Thread-safe.
  StagedFlips Stage(const FaultList& flips) const;
  // Returns the flips by bit position that are found on the words; on a device those that Prove
  // will vouch for. Errors: DataLoss if they are not the ones wanted. Stands until Undo.
  absl::StatusOr<std::vector<int64_t>> Patch(const StagedFlips& staged);
  void Undo(const StagedFlips& staged);

  // That all words, their values and the weights beside them are bit for bit those that were
  // loaded, and that every patch flipped what it should. Errors: DataLoss.
  absl::Status Prove();

 private:
  LoadedModel(NumberFormat format, const Quantization& quantization, at::Device device,
              const ComputeMode& compute)
      : format_(format), device_(device), compute_(compute), words_(format, quantization) {}

  absl::Status LoadWeights(const ModelSnapshot& snapshot, const Surface& surface);
  void MoveToDevice(const Surface& surface, bool script);
  std::string Digest() const;

  const NumberFormat format_;
  const at::Device device_;
  const ComputeMode compute_;
  std::string name_;
  int num_classes_ = 0;
  StoredWords words_;
  std::optional<WordMemory> memory_;
  Weights weights_;
  std::vector<std::string> beside_;  // the weights outside of the surface
  std::unique_ptr<ModelGraph> graph_;
  std::vector<int> stage_of_;          // by tensor of the surface
  std::string digest_;                 // as loaded, of what is in place
  std::vector<at::Tensor> as_loaded_;  // copies of those beside, on the device
};

}  // namespace bitquake
