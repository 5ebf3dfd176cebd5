// The evaluator: chunk by chunk, on the CPU's threads or on a CUDA device. Inside worker/engine
// only (it shows torch); others use CreateEvaluator.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/engine/attention_meter.h"
#include "worker/engine/compute_device.h"
#include "worker/engine/evaluator.h"
#include "worker/engine/executor.h"
#include "worker/engine/input.h"
#include "worker/engine/loaded_model.h"
#include "worker/engine/recorded_forwards.h"
#include "worker/engine/resident_pixels.h"
#include "worker/engine/scoring.h"
#include "worker/engine/stager.h"
#include "worker/engine/trial_plan.h"

namespace bitquake {

// What changes speed and memory, never an outcome.
struct EvaluatorTuning {
  // Of golden activations held at a time (at least a chunk a thread); 0: 512 MiB on the CPU, half
  // of a CUDA device's free memory.
  int64_t kept_bytes = 0;
  bool reuse = true;    // resume trials at their first faulty stage
  bool overlap = true;  // stage the next trial's faults while one computes
  Recording recording = Recording::kWhereItHelps;  // of trials' forward passes, as CUDA graphs
};

class TorchEvaluator : public Evaluator {
 public:
  // As CreateEvaluator.
  static absl::StatusOr<std::unique_ptr<TorchEvaluator>> Create(const ModelSnapshot& snapshot,
                                                                const EvaluatorOptions& options,
                                                                const EvaluatorTuning& tuning = {});

  EvaluatorTimes times() const override { return times_; }
  absl::StatusOr<GoldenOutcome> Golden(const FoldImages& fold) override;
  absl::StatusOr<std::vector<TrialOutcome>> Run(const FoldImages& fold,
                                                absl::Span<const TrialRequest> trials,
                                                const std::function<bool()>& cancelled) override;
  absl::StatusOr<FaultList> RealFlips(const FaultList& faults) const override;
  const GoldenWords& golden_words() const override { return model_->words(); }

  // For tests and benchmarks: golden logits [images, classes]; a weight as the network reads it; a
  // trial's forward passes, where a chunk's input is made already.
  absl::StatusOr<at::Tensor> Logits(const FoldImages& fold);
  RecordedForwards& forwards() { return forwards_; }
  at::Tensor weight(absl::string_view name) const { return model_->weights().find(name)->second; }
  LoadedModel& model() { return *model_; }
  const InputMaker& input_maker() const { return input_maker_; }

 private:
  struct FoldGolden {
    std::vector<int> labels;  // a fold number stands for these
    std::vector<Score> scores;
    std::string digest;  // of all logits
    std::string canary;  // of the first few images, padding included
    AttentionDistances attention;
  };
  // Golden of a fold in the making.
  struct GoldenPass {
    GoldenPass(int64_t images, int64_t chunks)
        : scores(images), logits(chunks), attention(chunks) {}

    std::vector<Score> scores;
    std::vector<at::Tensor> logits;             // of each chunk, on the host
    std::vector<AttentionDistances> attention;  // likewise
    std::string canary;
  };
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
    std::vector<std::vector<Activations>>
        kept;  // of each chunk, golden's input of each stage, where needed
  };

  TorchEvaluator(std::unique_ptr<LoadedModel> model, const Preprocessing& preprocessing,
                 const EvaluatorOptions& options, const EvaluatorTuning& tuning, at::Device device,
                 const ComputeMode& compute, std::optional<AttentionMeter> meter);

  absl::Status CheckFold(const FoldImages& fold) const;
  absl::Status CheckTrials(absl::Span<const TrialRequest> trials) const;

  int64_t ChunkCount(const FoldImages& fold) const;
  int64_t ImagesIn(const FoldImages& fold, int64_t chunk) const;  // without padding
  at::Tensor ChunkInput(const FoldImages& fold, int64_t chunk);
  void ScoreChunk(const FoldImages& fold, int64_t chunk, const at::Tensor& logits,
                  absl::Span<Score> scores) const;

  // Adds the distances of a stage, if it attends, to those of its chunk.
  void MeasureAttention(const FoldImages& fold, int64_t chunk, int stage, const at::Tensor& x,
                        AttentionDistances& distances) const;
  // The logits of a chunk that resumes from golden's activations, attention measured on the way.
  at::Tensor RunMeasured(const FoldImages& fold, int64_t chunk, Activations golden,
                         RunningTrial& trial) const;
  AttentionDistances TrialAttention(const RunningTrial& trial, const FoldGolden& golden) const;

  // Golden's forward of one chunk: to the logits if `pass` is given, else as far as trials resume.
  // Returns what they resume from.
  std::vector<Activations> ForwardGolden(const FoldImages& fold, int64_t chunk,
                                         const TrialPlan& plan, GoldenPass* pass);
  absl::Status KeepGolden(const FoldImages& fold, GoldenPass pass);
  absl::Status EnsureGolden(const FoldImages& fold);

  int64_t KeptBytes() const;
  int64_t ChunksAtATime(const TrialPlan& plan, int64_t kept_bytes) const;
  absl::StatusOr<std::vector<TrialOutcome>> RunTrials(const FoldImages& fold,
                                                      absl::Span<const TrialRequest> trials,
                                                      bool reuse, int64_t kept_bytes,
                                                      const std::function<bool()>& cancelled);
  absl::Status RunGroup(const FoldImages& fold, absl::Span<const TrialRequest> trials,
                        const TrialPlan& plan, GoldenPass* pass, ChunkGroup group,
                        std::vector<RunningTrial>& running, const std::function<bool()>& cancelled);
  StagedFlips TakeStaged();
  absl::Status RunTrial(const FoldImages& fold, const StagedFlips& staged, const ChunkGroup& group,
                        RunningTrial& trial, const std::function<bool()>& cancelled);
  absl::Status InferTrial(const FoldImages& fold, const ChunkGroup& group, RunningTrial& trial,
                          const std::function<bool()>& cancelled);
  std::vector<TrialOutcome> Outcomes(const FoldImages& fold, absl::Span<const TrialRequest> trials,
                                     const TrialPlan& plan, std::vector<RunningTrial> running);

  absl::Status Guarded(const std::function<absl::Status()>& body);
  // Queues the canary: a forward of a few images through every weight.
  void QueueCanary(const FoldImages& fold, std::string* digest) const;
  absl::StatusOr<std::string> Canary(const FoldImages& fold);
  // That the canary is golden's, and that the model's words are.
  absl::Status Prove(const FoldImages& fold, const std::string& golden_canary);

  const EvaluatorOptions options_;
  const EvaluatorTuning tuning_;
  const at::Device device_;
  const ComputeMode compute_;
  const InputMaker input_maker_;
  const std::unique_ptr<LoadedModel> model_;
  const ModelGraph& graph_;  // the model's
  Stager stager_;
  const std::optional<AttentionMeter> meter_;  // if attention distances are asked for
  const std::unique_ptr<Executor> executor_;
  RecordedForwards forwards_;         // of trials
  ResidentPixels pixels_;             // of CUDA devices
  std::map<int, FoldGolden> golden_;  // by fold number
  absl::Status broken_;               // the first failed proof
  EvaluatorTimes times_;
};

}  // namespace bitquake
