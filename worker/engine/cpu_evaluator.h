// The evaluator on the CPU: fp32, chunk by chunk. Inside worker/engine only (it shows torch);
// others use CreateEvaluator.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/engine/attention_meter.h"
#include "worker/engine/chunk_pool.h"
#include "worker/engine/evaluator.h"
#include "worker/engine/input.h"
#include "worker/engine/loaded_model.h"
#include "worker/engine/scoring.h"

namespace bitquake {

// What changes speed and memory, never an outcome.
struct CpuTuning {
  int64_t kept_bytes = int64_t{512}
                       << 20;  // of golden activations held at a time (at least a chunk a thread)
  bool reuse = true;           // resume trials at their first faulty stage
};

class CpuEvaluator : public Evaluator {
 public:
  // As CreateEvaluator.
  static absl::StatusOr<std::unique_ptr<CpuEvaluator>> Create(const ModelSnapshot& snapshot,
                                                              const EvaluatorOptions& options,
                                                              const CpuTuning& tuning = {});

  absl::StatusOr<GoldenOutcome> Golden(const FoldImages& fold) override;
  absl::StatusOr<std::vector<TrialOutcome>> Run(const FoldImages& fold,
                                                absl::Span<const TrialRequest> trials,
                                                const std::function<bool()>& cancelled) override;
  absl::StatusOr<FaultList> RealFlips(const FaultList& faults) const override;
  const GoldenWords& golden_words() const override { return model_->words(); }

  // For tests and benchmarks: golden logits [images, classes]; a weight as the network reads it.
  absl::StatusOr<at::Tensor> Logits(const FoldImages& fold);
  at::Tensor weight(absl::string_view name) const { return model_->weights().find(name)->second; }

 private:
  struct FoldGolden {
    std::vector<int> labels;  // a fold number stands for these
    std::vector<Score> scores;
    std::string digest;  // of all logits
    std::string canary;  // of the first few images, padding included
    AttentionDistances attention;
  };
  struct Plan;
  struct GoldenPass;
  struct RunningTrial {
    std::vector<Score> scores;  // of the fold's images; empty if nothing is to be run
    std::vector<int64_t> flips_per_bit;
    std::vector<AttentionDistances> attention;  // of each chunk; blocks from `stage` on
    int stage = 0;                              // that it resumes at
    absl::Duration time;
  };
  struct ChunkGroup {
    int64_t first;  // chunk
    int64_t count;
    std::vector<std::vector<at::Tensor>>
        kept;  // of each chunk, golden's input of each stage, where needed
  };

  CpuEvaluator(std::unique_ptr<LoadedModel> model, const Preprocessing& preprocessing,
               const EvaluatorOptions& options, const CpuTuning& tuning,
               std::optional<AttentionMeter> meter);

  absl::Status CheckFold(const FoldImages& fold) const;
  absl::Status CheckTrials(absl::Span<const TrialRequest> trials) const;

  int64_t ChunkCount(const FoldImages& fold) const;
  int64_t ImagesIn(const FoldImages& fold, int64_t chunk) const;  // without padding
  at::Tensor ChunkInput(const FoldImages& fold, int64_t chunk) const;
  void ScoreChunk(const FoldImages& fold, int64_t chunk, const at::Tensor& logits,
                  absl::Span<Score> scores) const;

  // Adds the distances of a stage, if it attends, to those of its chunk.
  void MeasureAttention(const FoldImages& fold, int64_t chunk, int stage, const at::Tensor& x,
                        AttentionDistances& distances) const;
  AttentionDistances TrialAttention(const RunningTrial& trial, const FoldGolden& golden) const;

  std::vector<at::Tensor> ForwardGolden(const FoldImages& fold, int64_t chunk, const Plan& plan,
                                        GoldenPass& pass) const;
  absl::Status KeepGolden(const FoldImages& fold, GoldenPass pass);
  absl::Status EnsureGolden(const FoldImages& fold);

  Plan MakePlan(const FoldImages& fold, absl::Span<const TrialRequest> trials) const;
  int64_t ChunksAtATime(const Plan& plan) const;
  absl::StatusOr<std::vector<TrialOutcome>> RunTrials(const FoldImages& fold,
                                                      absl::Span<const TrialRequest> trials,
                                                      const std::function<bool()>& cancelled);
  absl::Status RunTrial(const FoldImages& fold, const FaultList& flips, const ChunkGroup& group,
                        RunningTrial& trial, const std::function<bool()>& cancelled);

  absl::Status Guarded(const std::function<absl::Status()>& body);
  std::string CanaryDigest(const FoldImages& fold) const;
  absl::StatusOr<std::string> Canary(const FoldImages& fold);
  // That the canary is golden's, and ProveWords.
  absl::Status Prove(const FoldImages& fold, const std::string& golden_canary);
  // That all words, and what the network reads, are those that were loaded.
  absl::Status ProveWords() const;

  const EvaluatorOptions options_;
  const CpuTuning tuning_;
  const InputMaker input_maker_;
  const std::unique_ptr<LoadedModel> model_;
  const ModelGraph& graph_;                    // the model's
  const std::optional<AttentionMeter> meter_;  // if attention distances are asked for
  ChunkPool pool_;
  std::map<int, FoldGolden> golden_;  // by fold number
  absl::Status broken_;               // the first failed proof
};

}  // namespace bitquake
