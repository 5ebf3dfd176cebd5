// Makes the next trial's flips ready while one computes. (Inside worker/engine only.)
#pragma once

#include <exception>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/engine/loaded_model.h"

namespace bitquake {

// Thread-compatible.
class Stager {
 public:
  // Without `overlap`, Take does the work. `model` must outlive the stager.
  Stager(const LoadedModel* model, bool overlap);
  ~Stager();

  // Begins to stage `flips`; Take is to follow before the next Begin. They must live until then.
  void Begin(const FaultList* flips);
  // Waits for what was begun. Throws what staging threw.
  StagedFlips Take();
  // Waits for what was begun, if anything, and drops it.
  void Drop();

 private:
  void Work();

  const LoadedModel* const model_;
  absl::Mutex mutex_;
  const FaultList* wanted_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<StagedFlips> staged_ ABSL_GUARDED_BY(mutex_);
  std::exception_ptr error_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // none without overlap
};

}  // namespace bitquake
