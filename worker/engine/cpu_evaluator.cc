#include "worker/engine/cpu_evaluator.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/scoped_time.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "worker/engine/torch_errors.h"

namespace bitquake {
namespace {

constexpr int kMaxChunk = 4096;
constexpr int kMaxThreads = 1024;

constexpr int kCanaryImages = 4;

bool Never() { return false; }

absl::Status CheckOptions(const EvaluatorOptions& options) {
  if (options.compute != "fp32") {
    return absl::UnimplementedError(
        absl::StrCat("compute '", options.compute, "' is not supported on the CPU; use fp32"));
  }
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

// Of contiguous fp32.
void UpdateDigest(Xxh3& digest, const at::Tensor& tensor) {
  digest.Update(tensor.const_data_ptr<float>(), tensor.numel() * sizeof(float));
}

std::string DigestOf(const at::Tensor& tensor) {
  Xxh3 digest;
  UpdateDigest(digest, tensor);
  return digest.Hex();
}

}  // namespace

// What a call computes besides golden outcomes that are known already.
struct CpuEvaluator::Plan {
  struct Resume {
    size_t trial;
    int stage;
  };
  std::vector<const FaultList*> flips;  // of each trial: what its faults change
  std::deque<FaultList> converted;      // those of them that were sets
  std::vector<Resume> resumes;          // trials with flips, by first faulty stage
  bool golden_logits = false;           // golden is not known yet

  bool Keeps(int stage) const {
    return std::any_of(resumes.begin(), resumes.end(),
                       [&](const Resume& resume) { return resume.stage == stage; });
  }
  int LastStage() const { return resumes.empty() ? 0 : resumes.back().stage; }
};

// Golden of a fold in the making.
struct CpuEvaluator::GoldenPass {
  GoldenPass(int64_t images, int64_t chunks) : scores(images), logits(chunks), attention(chunks) {}

  std::vector<Score> scores;
  std::vector<at::Tensor> logits;             // of each chunk
  std::vector<AttentionDistances> attention;  // likewise
  std::string canary;
};

CpuEvaluator::CpuEvaluator(std::unique_ptr<LoadedModel> model, const Preprocessing& preprocessing,
                           const EvaluatorOptions& options, const CpuTuning& tuning,
                           std::optional<AttentionMeter> meter)
    : options_(options),
      tuning_(tuning),
      input_maker_(preprocessing),
      model_(std::move(model)),
      graph_(model_->graph()),
      meter_(std::move(meter)),
      pool_(options.threads) {}

absl::StatusOr<std::unique_ptr<CpuEvaluator>> CpuEvaluator::Create(const ModelSnapshot& snapshot,
                                                                   const EvaluatorOptions& options,
                                                                   const CpuTuning& tuning) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(CheckCodeAllowed(snapshot, options.allow_torchscript));
  return WithoutExceptions([&]() -> absl::StatusOr<std::unique_ptr<CpuEvaluator>> {
    ASSIGN_OR_RETURN(
        std::unique_ptr<LoadedModel> model,
        LoadedModel::Load(snapshot, options.surface.empty() ? snapshot.surface : options.surface,
                          options.format, options.quantization));
    std::optional<AttentionMeter> meter;
    if (options.golden_attention) {
      ASSIGN_OR_RETURN(const PatchAttention attention, FindPatchAttention(snapshot.architecture));
      meter.emplace(attention);
    }
    return std::unique_ptr<CpuEvaluator>(new CpuEvaluator(
        std::move(model), snapshot.architecture.preprocessing, options, tuning, std::move(meter)));
  });
}

absl::Status CpuEvaluator::CheckFold(const FoldImages& fold) const {
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

absl::Status CpuEvaluator::CheckTrials(absl::Span<const TrialRequest> trials) const {
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

int64_t CpuEvaluator::ChunkCount(const FoldImages& fold) const {
  const auto images = static_cast<int64_t>(fold.pixels.size());
  return (images + options_.chunk - 1) / options_.chunk;
}

int64_t CpuEvaluator::ImagesIn(const FoldImages& fold, int64_t chunk) const {
  return std::min<int64_t>(options_.chunk,
                           static_cast<int64_t>(fold.labels.size()) - chunk * options_.chunk);
}

at::Tensor CpuEvaluator::ChunkInput(const FoldImages& fold, int64_t chunk) const {
  const absl::Span<const uint8_t* const> pixels(fold.pixels);
  return input_maker_.Make(pixels.subspan(chunk * options_.chunk, options_.chunk), options_.chunk);
}

void CpuEvaluator::ScoreChunk(const FoldImages& fold, int64_t chunk, const at::Tensor& logits,
                              absl::Span<Score> scores) const {
  const absl::Span<const int> labels(fold.labels);
  const int64_t first = chunk * options_.chunk;
  ScoreLogits(logits, labels.subspan(first, options_.chunk), scores.subspan(first, options_.chunk));
}

// Golden's forward of one chunk, as far as it is needed; keeps what the trials resume from.
std::vector<at::Tensor> CpuEvaluator::ForwardGolden(const FoldImages& fold, int64_t chunk,
                                                    const Plan& plan, GoldenPass& pass) const {
  const int end = plan.golden_logits ? graph_.stage_count() : plan.LastStage();
  std::vector<at::Tensor> kept(graph_.stage_count());
  at::Tensor x = ChunkInput(fold, chunk);
  for (int stage = 0; stage < graph_.stage_count(); ++stage) {
    if (plan.Keeps(stage)) {
      kept[stage] = x;
    }
    if (stage == end) {
      return kept;
    }
    if (meter_ && plan.golden_logits) {
      MeasureAttention(fold, chunk, stage, x, pass.attention[chunk]);
    }
    x = graph_.RunStage(stage, x);
  }
  pass.logits[chunk] = x;
  ScoreChunk(fold, chunk, x, absl::MakeSpan(pass.scores));
  return kept;
}

absl::Status CpuEvaluator::KeepGolden(const FoldImages& fold, GoldenPass pass) {
  Xxh3 digest;
  for (int64_t chunk = 0; chunk < ChunkCount(fold); ++chunk) {
    UpdateDigest(digest, pass.logits[chunk].narrow(0, 0, ImagesIn(fold, chunk)));
  }
  for (size_t i = 0; i < pass.scores.size(); ++i) {
    if (pass.scores[i].prediction == kNotFinite) {
      return absl::FailedPreconditionError(
          absl::StrCat(model_->name(), " in ", options_.format.Name(), ": fold ", fold.fold,
                       ", image ", i, ": a logit is NaN or infinite without any fault"));
    }
  }
  FoldGolden golden{fold.labels, std::move(pass.scores), digest.Hex(), std::move(pass.canary),
                    SumOf(pass.attention)};
  RETURN_IF_ERROR(ProveWords());
  golden_[fold.fold] = std::move(golden);
  return absl::OkStatus();
}

absl::Status CpuEvaluator::EnsureGolden(const FoldImages& fold) {
  if (golden_.count(fold.fold) > 0) {
    return absl::OkStatus();
  }
  const ScopedTime timed(&times_.golden);
  Plan plan;
  plan.golden_logits = true;
  GoldenPass pass(static_cast<int64_t>(fold.labels.size()), ChunkCount(fold));
  // The canary is a task like the chunks: no thread waits for it.
  RETURN_IF_ERROR(pool_.Run(
      ChunkCount(fold) + 1,
      [&](int64_t chunk) {
        if (chunk == ChunkCount(fold)) {
          pass.canary = CanaryDigest(fold);
        } else {
          ForwardGolden(fold, chunk, plan, pass);
        }
        return absl::OkStatus();
      },
      Never));
  return KeepGolden(fold, std::move(pass));
}

absl::StatusOr<GoldenOutcome> CpuEvaluator::Golden(const FoldImages& fold) {
  RETURN_IF_ERROR(broken_);
  RETURN_IF_ERROR(CheckFold(fold));
  RETURN_IF_ERROR(Guarded([&] { return EnsureGolden(fold); }));
  const FoldGolden& golden = golden_[fold.fold];
  GoldenOutcome outcome;
  outcome.digest = golden.digest;
  outcome.attention = golden.attention;
  for (size_t i = 0; i < golden.scores.size(); ++i) {
    outcome.predictions.push_back(golden.scores[i].prediction);
    outcome.top1 += golden.scores[i].prediction == fold.labels[i];
    outcome.top5 += golden.scores[i].top5;
  }
  return outcome;
}

CpuEvaluator::Plan CpuEvaluator::MakePlan(const FoldImages& fold,
                                          absl::Span<const TrialRequest> trials) const {
  Plan plan;
  plan.golden_logits = golden_.count(fold.fold) == 0;
  for (size_t t = 0; t < trials.size(); ++t) {
    const FaultList* flips = trials[t].faults;
    if (flips->effect == FaultList::Effect::kSet) {
      flips = &plan.converted.emplace_back(model_->words().FlipsOf(*flips));
    }
    plan.flips.push_back(flips);
    if (flips->flips() > 0) {
      plan.resumes.push_back({t, tuning_.reuse ? model_->FirstFaultyStage(*flips) : 0});
    }
  }
  std::stable_sort(plan.resumes.begin(), plan.resumes.end(),
                   [](const Plan::Resume& a, const Plan::Resume& b) { return a.stage < b.stage; });
  return plan;
}

// Chunks whose kept activations fit the budget, but work for every thread.
int64_t CpuEvaluator::ChunksAtATime(const Plan& plan) const {
  int64_t bytes = 1;
  for (int stage = 0; stage < graph_.stage_count(); ++stage) {
    bytes += plan.Keeps(stage) ? graph_.InputBytes(stage) * options_.chunk : 0;
  }
  return std::max<int64_t>(pool_.threads(), tuning_.kept_bytes / bytes);
}

absl::StatusOr<std::vector<TrialOutcome>> CpuEvaluator::Run(
    const FoldImages& fold, absl::Span<const TrialRequest> trials,
    const std::function<bool()>& cancelled) {
  RETURN_IF_ERROR(broken_);
  RETURN_IF_ERROR(CheckFold(fold));
  RETURN_IF_ERROR(CheckTrials(trials));
  std::vector<TrialOutcome> outcomes;
  RETURN_IF_ERROR(Guarded([&]() -> absl::Status {
    ASSIGN_OR_RETURN(outcomes, RunTrials(fold, trials, cancelled));
    return absl::OkStatus();
  }));
  return outcomes;
}

absl::StatusOr<FaultList> CpuEvaluator::RealFlips(const FaultList& faults) const {
  RETURN_IF_ERROR(model_->words().Check(faults));
  return faults.effect == FaultList::Effect::kSet ? model_->words().FlipsOf(faults) : faults;
}

// Exceptions become errors; after a failed proof the evaluator answers with it for ever.
absl::Status CpuEvaluator::Guarded(const std::function<absl::Status()>& body) {
  const absl::Status status = WithoutExceptions(body);
  if (absl::IsDataLoss(status)) {
    broken_ = status;
  }
  return status;
}

absl::StatusOr<std::vector<TrialOutcome>> CpuEvaluator::RunTrials(
    const FoldImages& fold, absl::Span<const TrialRequest> trials,
    const std::function<bool()>& cancelled) {
  const Plan plan = MakePlan(fold, trials);
  const auto images = static_cast<int64_t>(fold.labels.size());
  GoldenPass pass(images, ChunkCount(fold));
  if (plan.golden_logits) {
    ASSIGN_OR_RETURN(pass.canary, Canary(fold));
  }
  std::vector<RunningTrial> running(trials.size());
  for (const Plan::Resume& resume : plan.resumes) {
    running[resume.trial].scores.resize(images);
    running[resume.trial].attention.resize(ChunkCount(fold));
    running[resume.trial].stage = resume.stage;
  }

  const bool idle = plan.resumes.empty() && !plan.golden_logits;
  const int64_t step = ChunksAtATime(plan);
  for (int64_t first = 0; first < ChunkCount(fold) && !idle; first += step) {
    ChunkGroup group{first, std::min(step, ChunkCount(fold) - first), {}};
    group.kept.resize(group.count);
    {
      const ScopedTime timed(&times_.golden);
      RETURN_IF_ERROR(pool_.Run(
          group.count,
          [&](int64_t i) {
            group.kept[i] = ForwardGolden(fold, first + i, plan, pass);
            return absl::OkStatus();
          },
          cancelled));
    }
    for (const Plan::Resume& resume : plan.resumes) {
      const absl::Status status =
          RunTrial(fold, *plan.flips[resume.trial], group, running[resume.trial], cancelled);
      if (!status.ok()) {
        return Annotate(status, absl::StrCat("trial ", trials[resume.trial].id));
      }
    }
  }

  if (plan.golden_logits) {
    RETURN_IF_ERROR(KeepGolden(fold, std::move(pass)));
  }
  if (!idle) {
    RETURN_IF_ERROR(Prove(fold, golden_[fold.fold].canary));
  }

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
    outcome.inferences = ran ? images : 0;
    outcome.seconds = absl::ToDoubleSeconds(running[t].time);
  }
  return outcomes;
}

absl::Status CpuEvaluator::RunTrial(const FoldImages& fold, const FaultList& flips,
                                    const ChunkGroup& group, RunningTrial& trial,
                                    const std::function<bool()>& cancelled) {
  const absl::Duration start = SystemClock().Monotonic();
  const absl::Cleanup undo = [&] {
    const ScopedTime timed(&times_.undo);
    model_->words().Undo(flips);
  };
  {
    const ScopedTime timed(&times_.inject);
    ASSIGN_OR_RETURN(trial.flips_per_bit, model_->words().Patch(flips));
  }
  const ScopedTime timed(&times_.infer);
  RETURN_IF_ERROR(pool_.Run(
      group.count,
      [&](int64_t i) {
        const int64_t chunk = group.first + i;
        at::Tensor x = group.kept[i][trial.stage];
        for (int stage = trial.stage; stage < graph_.stage_count(); ++stage) {
          if (options_.trial_attention) {
            MeasureAttention(fold, chunk, stage, x, trial.attention[chunk]);
          }
          x = graph_.RunStage(stage, x);
        }
        ScoreChunk(fold, chunk, x, absl::MakeSpan(trial.scores));
        return absl::OkStatus();
      },
      cancelled));
  trial.time += SystemClock().Monotonic() - start;
  return absl::OkStatus();
}

// Of a forward of a few images, through every weight; its shape is its own, and always the same.
std::string CpuEvaluator::CanaryDigest(const FoldImages& fold) const {
  const absl::Span<const uint8_t* const> pixels(fold.pixels);
  return DigestOf(
      graph_.RunFrom(0, input_maker_.Make(pixels.subspan(0, kCanaryImages), kCanaryImages)));
}

absl::StatusOr<std::string> CpuEvaluator::Canary(const FoldImages& fold) {
  const ScopedTime timed(&times_.golden);
  std::string canary;
  RETURN_IF_ERROR(pool_.Run(
      1,
      [&](int64_t) {
        canary = CanaryDigest(fold);
        return absl::OkStatus();
      },
      Never));
  return canary;
}

absl::Status CpuEvaluator::Prove(const FoldImages& fold, const std::string& golden_canary) {
  ASSIGN_OR_RETURN(const std::string canary, Canary(fold));
  if (canary != golden_canary) {
    return absl::DataLossError(absl::StrCat(model_->name(), ": canary: the logits of fold ",
                                            fold.fold,
                                            "'s first images differ from golden's; weights or "
                                            "computations of this process are damaged"));
  }
  return ProveWords();
}

absl::Status CpuEvaluator::ProveWords() const {
  return model_->IsGolden()
             ? absl::OkStatus()
             : absl::DataLossError(
                   absl::StrCat(model_->name(),
                                ": weights differ from those loaded after all trials were undone"));
}

absl::StatusOr<at::Tensor> CpuEvaluator::Logits(const FoldImages& fold) {
  RETURN_IF_ERROR(CheckFold(fold));
  std::vector<at::Tensor> logits(ChunkCount(fold));
  RETURN_IF_ERROR(pool_.Run(
      ChunkCount(fold),
      [&](int64_t chunk) {
        logits[chunk] = graph_.RunFrom(0, ChunkInput(fold, chunk));
        return absl::OkStatus();
      },
      Never));
  return at::cat(logits).narrow(0, 0, static_cast<int64_t>(fold.labels.size()));
}

absl::StatusOr<std::unique_ptr<Evaluator>> CreateEvaluator(const ModelSnapshot& snapshot,
                                                           const EvaluatorOptions& options) {
  return CpuEvaluator::Create(snapshot, options);
}

}  // namespace bitquake
