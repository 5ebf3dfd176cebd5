#include "worker/engine/torch_evaluator.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/scoped_time.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "worker/engine/torch_errors.h"

namespace bitquake {
namespace {

constexpr int kMaxChunk = 4096;
constexpr int kMaxThreads = 1024;

// One part in so many of a CUDA device's memory: 8 GB hold ImageNet's validation set at 224 pixels.
constexpr int64_t kShareForPixels = 8;

absl::Status CheckOptions(const EvaluatorOptions& options) {
  if (options.chunk < 1 || options.chunk > kMaxChunk) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk ", options.chunk, " is not in 1..", kMaxChunk));
  }
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads ", options.threads, " is not in 1..", kMaxThreads));
  }
  if (options.trial_attention && !options.golden_attention) {
    return absl::InvalidArgumentError("attention distances of trials take golden's");
  }
  return absl::OkStatus();
}

}  // namespace

TorchEvaluator::TorchEvaluator(std::unique_ptr<LoadedModel> model,
                               const Preprocessing& preprocessing, const EvaluatorOptions& options,
                               const EvaluatorTuning& tuning, at::Device device,
                               const ComputeMode& compute, std::optional<AttentionMeter> meter)
    : options_(options),
      tuning_(tuning),
      device_(device),
      compute_(compute),
      input_maker_(preprocessing, device, compute.type),
      model_(std::move(model)),
      graph_(model_->graph()),
      stager_(model_.get(), tuning.overlap && !model_->in_place()),
      meter_(std::move(meter)),
      executor_(MakeExecutor(device, options.threads)),
      forwards_(&graph_, device, tuning.recording),
      pixels_(device.is_cpu() ? 0 : FreeBytes(device) / kShareForPixels) {}

absl::StatusOr<std::unique_ptr<TorchEvaluator>> TorchEvaluator::Create(
    const ModelSnapshot& snapshot, const EvaluatorOptions& options, const EvaluatorTuning& tuning) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(CheckCodeAllowed(snapshot, options.allow_torchscript));
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(options.device));
  ASSIGN_OR_RETURN(const ComputeMode compute, ParseComputeMode(options.compute, device));
  return WithoutExceptions([&]() -> absl::StatusOr<std::unique_ptr<TorchEvaluator>> {
    const c10::OptionalDeviceGuard guard(device);
    UseComputeMode(compute, device);
    const Surface& surface = options.surface.empty() ? snapshot.surface : options.surface;
    ASSIGN_OR_RETURN(std::unique_ptr<LoadedModel> model,
                     LoadedModel::Load(snapshot, surface, options.format, options.quantization,
                                       device, compute));
    std::optional<AttentionMeter> meter;
    if (options.golden_attention) {
      ASSIGN_OR_RETURN(const PatchAttention attention, FindPatchAttention(snapshot.architecture));
      meter.emplace(attention, device);
    }
    return std::unique_ptr<TorchEvaluator>(
        new TorchEvaluator(std::move(model), snapshot.architecture.preprocessing, options, tuning,
                           device, compute, std::move(meter)));
  });
}

absl::Status TorchEvaluator::CheckFold(const FoldImages& fold) const {
  if (fold.pixels.empty() || fold.pixels.size() != fold.labels.size()) {
    return absl::InvalidArgumentError(absl::StrCat("fold ", fold.fold, " has ", fold.pixels.size(),
                                                   " images and ", fold.labels.size(), " labels"));
  }
  for (const int label : fold.labels) {
    if (label < 0 || label >= model_->num_classes()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "fold ", fold.fold, ": label ", label, " is not one of the ", model_->num_classes(),
          " classes of ", model_->name(), "; is this the model's data set?"));
    }
  }
  const auto known = golden_.find(fold.fold);
  if (known != golden_.end() && known->second.labels != fold.labels) {
    return absl::InvalidArgumentError(absl::StrCat("fold ", fold.fold, " had other images before"));
  }
  return absl::OkStatus();
}

absl::Status TorchEvaluator::CheckTrials(absl::Span<const TrialRequest> trials) const {
  for (const TrialRequest& trial : trials) {
    const absl::Status status = trial.faults == nullptr
                                    ? absl::InvalidArgumentError("no fault list")
                                    : model_->words().Check(*trial.faults);
    if (!status.ok()) {
      return Annotate(status, absl::StrCat("trial ", trial.id));
    }
  }
  return absl::OkStatus();
}

int64_t TorchEvaluator::ChunkCount(const FoldImages& fold) const {
  const auto images = static_cast<int64_t>(fold.pixels.size());
  return (images + options_.chunk - 1) / options_.chunk;
}

int64_t TorchEvaluator::ImagesIn(const FoldImages& fold, int64_t chunk) const {
  return std::min<int64_t>(options_.chunk,
                           static_cast<int64_t>(fold.labels.size()) - chunk * options_.chunk);
}

at::Tensor TorchEvaluator::ChunkInput(const FoldImages& fold, int64_t chunk) {
  const absl::Span<const uint8_t* const> all(fold.pixels);
  const absl::Span<const uint8_t* const> pixels =
      all.subspan(chunk * options_.chunk, options_.chunk);
  if (device_.is_cpu()) {
    return input_maker_.Make(pixels, options_.chunk);
  }
  at::Tensor resident = pixels_.Find(fold.fold, chunk);
  if (!resident.defined()) {
    resident = input_maker_.UploadPixels(pixels, options_.chunk);
    pixels_.Keep(fold.fold, chunk, resident);
  }
  return input_maker_.FromPixels(resident);
}

void TorchEvaluator::ScoreChunk(const FoldImages& fold, int64_t chunk, const at::Tensor& logits,
                                absl::Span<Score> scores) const {
  const absl::Span<const int> labels(fold.labels);
  const int64_t first = chunk * options_.chunk;
  ScoreLogits(logits, labels.subspan(first, options_.chunk), scores.subspan(first, options_.chunk));
}

int64_t TorchEvaluator::KeptBytes() const {
  if (tuning_.kept_bytes > 0) {
    return tuning_.kept_bytes;
  }
  return device_.is_cpu() ? int64_t{512} << 20 : FreeBytes(device_) / 2;
}

// Chunks whose kept activations fit the budget, but work for every thread.
int64_t TorchEvaluator::ChunksAtATime(const TrialPlan& plan, int64_t kept_bytes) const {
  const auto number = static_cast<int64_t>(c10::elementSize(compute_.type));
  const int64_t chunk = std::max<int64_t>(1, plan.KeptSize(graph_) * number * options_.chunk);
  return std::max<int64_t>(executor_->parallel(), kept_bytes / chunk);
}

absl::StatusOr<std::vector<TrialOutcome>> TorchEvaluator::Run(
    const FoldImages& fold, absl::Span<const TrialRequest> trials,
    const std::function<bool()>& cancelled) {
  RETURN_IF_ERROR(broken_);
  RETURN_IF_ERROR(CheckFold(fold));
  RETURN_IF_ERROR(CheckTrials(trials));
  std::vector<TrialOutcome> outcomes;
  absl::Status status = Guarded([&]() -> absl::Status {
    ASSIGN_OR_RETURN(outcomes, RunTrials(fold, trials, tuning_.reuse, KeptBytes(), cancelled));
    return absl::OkStatus();
  });
  if (absl::IsResourceExhausted(status) && device_.is_cuda() && broken_.ok()) {
    // Others may use the device, too: nothing is kept, on memory that nobody holds.
    status = Guarded([&]() -> absl::Status {
      pixels_.Clear();
      forwards_.Stop();
      at::accelerator::emptyCache();
      ASSIGN_OR_RETURN(outcomes, RunTrials(fold, trials, /*reuse=*/false, 1, cancelled));
      return absl::OkStatus();
    });
  }
  RETURN_IF_ERROR(status);
  return outcomes;
}

absl::StatusOr<FaultList> TorchEvaluator::RealFlips(const FaultList& faults) const {
  RETURN_IF_ERROR(model_->words().Check(faults));
  return faults.effect == FaultList::Effect::kSet ? model_->words().FlipsOf(faults) : faults;
}

// Exceptions become errors; after a failed proof the evaluator answers with it for ever.
absl::Status TorchEvaluator::Guarded(const std::function<absl::Status()>& body) {
  const c10::OptionalDeviceGuard guard(device_);
  UseComputeMode(compute_, device_);
  const absl::Status status = WithoutExceptions(body);
  if (!status.ok()) {
    executor_->Abandon();
  }
  if (absl::IsDataLoss(status)) {
    broken_ = status;
  }
  return status;
}

absl::StatusOr<std::vector<TrialOutcome>> TorchEvaluator::RunTrials(
    const FoldImages& fold, absl::Span<const TrialRequest> trials, bool reuse, int64_t kept_bytes,
    const std::function<bool()>& cancelled) {
  const c10::InferenceMode inference_mode;
  const TrialPlan plan = PlanTrials(*model_, trials, reuse);
  const auto images = static_cast<int64_t>(fold.labels.size());
  std::optional<GoldenPass> pass;
  if (golden_.count(fold.fold) == 0) {
    pass.emplace(images, ChunkCount(fold));
    ASSIGN_OR_RETURN(pass->canary, Canary(fold));
  }
  std::vector<RunningTrial> running(trials.size());
  for (const TrialPlan::Resume& resume : plan.resumes) {
    running[resume.trial].scores.resize(images);
    running[resume.trial].attention.resize(ChunkCount(fold));
    running[resume.trial].stage = resume.stage;
  }

  const bool idle = plan.resumes.empty() && !pass;
  const int64_t step = ChunksAtATime(plan, kept_bytes);
  for (int64_t first = 0; first < ChunkCount(fold) && !idle; first += step) {
    const ChunkGroup group{first, std::min(step, ChunkCount(fold) - first), {}};
    RETURN_IF_ERROR(
        RunGroup(fold, trials, plan, pass ? &*pass : nullptr, group, running, cancelled));
  }
  if (!idle) {
    RETURN_IF_ERROR(executor_->Finish());
  }
  if (pass) {
    RETURN_IF_ERROR(KeepGolden(fold, *std::move(pass)));
  }
  if (!idle) {
    RETURN_IF_ERROR(Prove(fold, golden_[fold.fold].canary));
  }
  return Outcomes(fold, trials, plan, std::move(running));
}

// Golden of some chunks once, then every trial on them.
absl::Status TorchEvaluator::RunGroup(const FoldImages& fold, absl::Span<const TrialRequest> trials,
                                      const TrialPlan& plan, GoldenPass* pass, ChunkGroup group,
                                      std::vector<RunningTrial>& running,
                                      const std::function<bool()>& cancelled) {
  group.kept.resize(group.count);
  {
    const ScopedTime timed(&times_.golden);
    RETURN_IF_ERROR(executor_->Run(
        group.count,
        [&](int64_t i) {
          group.kept[i] = ForwardGolden(fold, group.first + i, plan, pass);
          return absl::OkStatus();
        },
        cancelled));
  }
  const absl::Cleanup drop = [&] { stager_.Drop(); };
  const auto begin = [&](size_t index) {
    if (index < plan.resumes.size()) {
      stager_.Begin(plan.flips[plan.resumes[index].trial]);
    }
  };
  begin(0);
  for (size_t index = 0; index < plan.resumes.size(); ++index) {
    const StagedFlips staged = TakeStaged();
    begin(index + 1);
    const size_t trial = plan.resumes[index].trial;
    const absl::Status status = RunTrial(fold, staged, group, running[trial], cancelled);
    if (!status.ok()) {
      return Annotate(status, absl::StrCat("trial ", trials[trial].id));
    }
  }
  // What is queued refers to this group.
  const ScopedTime timed(plan.resumes.empty() ? &times_.golden : &times_.infer);
  return executor_->Finish();
}

StagedFlips TorchEvaluator::TakeStaged() {
  const ScopedTime timed(&times_.inject);
  return stager_.Take();
}

absl::Status TorchEvaluator::RunTrial(const FoldImages& fold, const StagedFlips& staged,
                                      const ChunkGroup& group, RunningTrial& trial,
                                      const std::function<bool()>& cancelled) {
  const absl::Duration start = SystemClock().Monotonic();
  absl::Status status = WithoutExceptions([&]() -> absl::Status {
    const ScopedTime timed(&times_.inject);
    ASSIGN_OR_RETURN(trial.flips_per_bit, model_->Patch(staged));
    return absl::OkStatus();
  });
  if (status.ok()) {
    status = InferTrial(fold, group, trial, cancelled);
  }
  const absl::Status undone = WithoutExceptions([&] {
    const ScopedTime timed(&times_.undo);
    model_->Undo(staged);
    return absl::OkStatus();
  });
  if (!undone.ok()) {
    broken_ = undone;  // the patch may stand
  }
  status.Update(undone);
  // A device computes what was queued while the host goes on: over many trials the times add up.
  trial.time += SystemClock().Monotonic() - start;
  return status;
}

absl::Status TorchEvaluator::InferTrial(const FoldImages& fold, const ChunkGroup& group,
                                        RunningTrial& trial,
                                        const std::function<bool()>& cancelled) {
  const ScopedTime timed(&times_.infer);
  return executor_->Run(
      group.count,
      [&](int64_t i) {
        const int64_t chunk = group.first + i;
        const Activations& golden = group.kept[i][trial.stage];
        const at::Tensor faulty = options_.trial_attention ? RunMeasured(fold, chunk, golden, trial)
                                                           : forwards_.RunFrom(trial.stage, golden);
        executor_->Read(faulty, [this, &fold, &trial, chunk](const at::Tensor& logits) {
          ScoreChunk(fold, chunk, logits, absl::MakeSpan(trial.scores));
        });
        return absl::OkStatus();
      },
      cancelled);
}

std::vector<TrialOutcome> TorchEvaluator::Outcomes(const FoldImages& fold,
                                                   absl::Span<const TrialRequest> trials,
                                                   const TrialPlan& plan,
                                                   std::vector<RunningTrial> running) {
  const FoldGolden& golden = golden_[fold.fold];
  std::vector<TrialOutcome> outcomes;
  for (size_t t = 0; t < trials.size(); ++t) {
    const bool ran = !running[t].scores.empty();
    const std::vector<Score>& scores = ran ? running[t].scores : golden.scores;
    TrialOutcome& outcome =
        outcomes.emplace_back(CompareWithGolden(scores, golden.scores, fold.labels));
    if (options_.keep_images) {
      MarkImages(scores, golden.scores, fold.labels, outcome);
    }
    if (options_.trial_attention) {
      outcome.attention = TrialAttention(running[t], golden);
    }
    outcome.id = trials[t].id;
    outcome.flips_wanted = plan.flips[t]->flips();
    outcome.flips_per_bit = std::move(running[t].flips_per_bit);
    outcome.flips_per_bit.resize(options_.format.bits);
    outcome.flips =
        std::accumulate(outcome.flips_per_bit.begin(), outcome.flips_per_bit.end(), int64_t{0});
    outcome.inferences = ran ? static_cast<int64_t>(fold.labels.size()) : 0;
    outcome.seconds = absl::ToDoubleSeconds(running[t].time);
  }
  return outcomes;
}

absl::StatusOr<std::unique_ptr<Evaluator>> CreateEvaluator(const ModelSnapshot& snapshot,
                                                           const EvaluatorOptions& options) {
  return TorchEvaluator::Create(snapshot, options);
}

}  // namespace bitquake
