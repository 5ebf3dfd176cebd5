// What a worker has done since it started, for its metrics.
#pragma once

#include <array>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

// Where a worker's time goes: models, images and evaluators are loaded; golden outcomes and what
// trials resume from are computed; faults are drawn and injected; images are inferred; faults are
// undone; outcomes are put together and handed on.
enum class Stage { kLoad, kGolden, kInject, kInfer, kUndo, kReport };
inline constexpr std::array<const char*, 6> kStageNames = {"load",  "golden", "inject",
                                                           "infer", "undo",   "report"};

struct StageCount {
  absl::Duration time;
  int64_t times = 0;
};

struct WorkerCounts {
  std::array<StageCount, kStageNames.size()> stages = {};
  int64_t images = 0;         // in outcomes, golden and of trials
  int64_t inferences = 0;     // images that trials really ran
  int64_t failed_proofs = 0;  // golden words or the canary differed, or flips from those wanted

  absl::Duration of(Stage stage) const { return stages[static_cast<size_t>(stage)].time; }
};

class WorkerFigures {  // thread-safe
 public:
  void AddTime(Stage stage, absl::Duration time) {
    absl::MutexLock lock(&mutex_);
    StageCount& count = counts_.stages[static_cast<size_t>(stage)];
    count.time += time;
    count.times += time > absl::ZeroDuration();  // an evaluator may have had nothing to do
  }
  void AddImages(int64_t images, int64_t inferences) {
    absl::MutexLock lock(&mutex_);
    counts_.images += images;
    counts_.inferences += inferences;
  }
  void CountFailedProof() {
    absl::MutexLock lock(&mutex_);
    ++counts_.failed_proofs;
  }
  WorkerCounts counts() const {
    absl::MutexLock lock(&mutex_);
    return counts_;
  }

 private:
  mutable absl::Mutex mutex_;
  WorkerCounts counts_ ABSL_GUARDED_BY(mutex_);
};

// The time that it lives is that of a stage.
class StageTime {
 public:
  StageTime(WorkerFigures* figures, Stage stage)
      : figures_(figures), stage_(stage), start_(SystemClock().Monotonic()) {}
  ~StageTime() { figures_->AddTime(stage_, SystemClock().Monotonic() - start_); }
  StageTime(const StageTime&) = delete;
  StageTime& operator=(const StageTime&) = delete;

 private:
  WorkerFigures* const figures_;
  const Stage stage_;
  const absl::Duration start_;
};

// Counts the time that its evaluator's calls spend while it lives, stage by stage.
class EvaluatorStages {
 public:
  EvaluatorStages(WorkerFigures* figures, const Evaluator* evaluator)
      : figures_(figures), evaluator_(evaluator), before_(evaluator->times()) {}
  ~EvaluatorStages() {
    const EvaluatorTimes now = evaluator_->times();
    figures_->AddTime(Stage::kGolden, now.golden - before_.golden);
    figures_->AddTime(Stage::kInject, now.inject - before_.inject);
    figures_->AddTime(Stage::kInfer, now.infer - before_.infer);
    figures_->AddTime(Stage::kUndo, now.undo - before_.undo);
  }
  EvaluatorStages(const EvaluatorStages&) = delete;
  EvaluatorStages& operator=(const EvaluatorStages&) = delete;

 private:
  WorkerFigures* const figures_;
  const Evaluator* const evaluator_;
  const EvaluatorTimes before_;
};

}  // namespace bitquake
