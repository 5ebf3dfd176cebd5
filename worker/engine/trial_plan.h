// What a call of Evaluator::Run computes: which trials need inferences, from which stage on, and in
// which order. (Inside worker/engine only.)
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "absl/types/span.h"
#include "worker/engine/evaluator.h"
#include "worker/engine/loaded_model.h"

namespace bitquake {

struct TrialPlan {
  struct Resume {
    size_t trial;
    int stage;
  };
  std::vector<const FaultList*> flips;  // of each trial: what its faults change
  std::deque<FaultList> converted;      // those of them that were sets
  std::vector<Resume> resumes;          // trials with flips, by first faulty stage

  // Whether some trial resumes at the stage.
  bool Keeps(int stage) const;
  int LastStage() const { return resumes.empty() ? 0 : resumes.back().stage; }
  // Of golden activations that are kept, for one image.
  int64_t KeptSize(const ModelGraph& graph) const;
};

// Fault lists have passed the words' Check and outlive the plan. Without `reuse` all trials resume
// at stage 0.
TrialPlan PlanTrials(const LoadedModel& model, absl::Span<const TrialRequest> trials, bool reuse);

}  // namespace bitquake
