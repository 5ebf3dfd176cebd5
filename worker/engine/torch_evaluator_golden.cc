// Golden: what a model predicts without faults, and the proof that it still does.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/scoped_time.h"
#include "common/base/status_macros.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {
namespace {

constexpr int kCanaryImages = 4;

bool Never() { return false; }

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

std::vector<Activations> TorchEvaluator::ForwardGolden(const FoldImages& fold, int64_t chunk,
                                                       const TrialPlan& plan, GoldenPass* pass) {
  const int end = pass != nullptr ? graph_.stage_count() : plan.LastStage();
  std::vector<Activations> kept(graph_.stage_count());
  Activations a = ChunkInput(fold, chunk);
  for (int stage = 0; stage < graph_.stage_count(); ++stage) {
    if (plan.Keeps(stage)) {
      kept[stage] = a;
    }
    if (stage == end) {
      return kept;
    }
    if (meter_ && pass != nullptr) {
      MeasureAttention(fold, chunk, stage, a.x, pass->attention[chunk]);
    }
    a = graph_.RunStage(stage, a);
  }
  executor_->Read(a.x, [this, &fold, chunk, pass](const at::Tensor& logits) {
    pass->logits[chunk] = logits;
    ScoreChunk(fold, chunk, logits, absl::MakeSpan(pass->scores));
  });
  return kept;
}

absl::Status TorchEvaluator::KeepGolden(const FoldImages& fold, GoldenPass pass) {
  Xxh3 digest;
  for (int64_t chunk = 0; chunk < ChunkCount(fold); ++chunk) {
    UpdateDigest(digest, pass.logits[chunk].narrow(0, 0, ImagesIn(fold, chunk)));
  }
  for (size_t i = 0; i < pass.scores.size(); ++i) {
    if (pass.scores[i].prediction == kNotFinite) {
      return absl::FailedPreconditionError(absl::StrCat(
          model_->name(), " in ", options_.format.Name(), ": fold ", fold.fold, ", image ", i,
          ": a logit is NaN or infinite without any fault; if the weights hold none, the format "
          "overflows: take a wider one; else fetch model.safetensors again"));
    }
  }
  FoldGolden golden{fold.labels, std::move(pass.scores), digest.Hex(), std::move(pass.canary),
                    SumOf(pass.attention)};
  RETURN_IF_ERROR(model_->Prove());
  golden_[fold.fold] = std::move(golden);
  return absl::OkStatus();
}

absl::Status TorchEvaluator::EnsureGolden(const FoldImages& fold) {
  if (golden_.count(fold.fold) > 0) {
    return absl::OkStatus();
  }
  const ScopedTime timed(&times_.golden);
  const TrialPlan nothing;
  GoldenPass pass(static_cast<int64_t>(fold.labels.size()), ChunkCount(fold));
  // The canary is a task like the chunks: no thread waits for it.
  RETURN_IF_ERROR(executor_->Run(
      ChunkCount(fold) + 1,
      [&](int64_t chunk) {
        if (chunk == ChunkCount(fold)) {
          QueueCanary(fold, &pass.canary);
        } else {
          ForwardGolden(fold, chunk, nothing, &pass);
        }
        return absl::OkStatus();
      },
      Never));
  RETURN_IF_ERROR(executor_->Finish());
  return KeepGolden(fold, std::move(pass));
}

absl::StatusOr<GoldenOutcome> TorchEvaluator::Golden(const FoldImages& fold) {
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

// Its shape is its own, and always the same.
void TorchEvaluator::QueueCanary(const FoldImages& fold, std::string* digest) const {
  const absl::Span<const uint8_t* const> pixels(fold.pixels);
  const at::Tensor input = input_maker_.Make(pixels.subspan(0, kCanaryImages), kCanaryImages);
  executor_->Read(graph_.RunFrom(0, input),
                  [digest](const at::Tensor& logits) { *digest = DigestOf(logits); });
}

absl::StatusOr<std::string> TorchEvaluator::Canary(const FoldImages& fold) {
  const ScopedTime timed(&times_.golden);
  std::string canary;
  RETURN_IF_ERROR(executor_->Run(
      1,
      [&](int64_t) {
        QueueCanary(fold, &canary);
        return absl::OkStatus();
      },
      Never));
  RETURN_IF_ERROR(executor_->Finish());
  return canary;
}

absl::Status TorchEvaluator::Prove(const FoldImages& fold, const std::string& golden_canary) {
  ASSIGN_OR_RETURN(const std::string canary, Canary(fold));
  if (canary != golden_canary) {
    return absl::DataLossError(absl::StrCat(model_->name(), ": canary: the logits of fold ",
                                            fold.fold,
                                            "'s first images differ from golden's; weights or "
                                            "computations of this process are damaged"));
  }
  RETURN_IF_ERROR(pixels_.Prove(fold.fold));
  return model_->Prove();
}

absl::StatusOr<at::Tensor> TorchEvaluator::Logits(const FoldImages& fold) {
  RETURN_IF_ERROR(CheckFold(fold));
  std::vector<at::Tensor> logits(ChunkCount(fold));
  RETURN_IF_ERROR(Guarded([&]() -> absl::Status {
    RETURN_IF_ERROR(executor_->Run(
        ChunkCount(fold),
        [&](int64_t chunk) {
          executor_->Read(graph_.RunFrom(0, ChunkInput(fold, chunk)),
                          [&, chunk](const at::Tensor& read) { logits[chunk] = read; });
          return absl::OkStatus();
        },
        Never));
    return executor_->Finish();
  }));
  return at::cat(logits).narrow(0, 0, static_cast<int64_t>(fold.labels.size()));
}

}  // namespace bitquake
