#include "worker/engine/trial_plan.h"

#include <algorithm>

namespace bitquake {

bool TrialPlan::Keeps(int stage) const {
  return std::any_of(resumes.begin(), resumes.end(),
                     [&](const Resume& resume) { return resume.stage == stage; });
}

int64_t TrialPlan::KeptSize(const ModelGraph& graph) const {
  int64_t size = 0;
  for (int stage = 0; stage < graph.stage_count(); ++stage) {
    size += Keeps(stage) ? graph.InputSize(stage) : 0;
  }
  return size;
}

TrialPlan PlanTrials(const LoadedModel& model, absl::Span<const TrialRequest> trials, bool reuse) {
  TrialPlan plan;
  for (size_t t = 0; t < trials.size(); ++t) {
    const FaultList* flips = trials[t].faults;
    if (flips->effect == FaultList::Effect::kSet) {
      flips = &plan.converted.emplace_back(model.words().FlipsOf(*flips));
    }
    plan.flips.push_back(flips);
    if (flips->flips() > 0) {
      plan.resumes.push_back({t, reuse ? model.FirstFaultyStage(*flips) : 0});
    }
  }
  std::stable_sort(
      plan.resumes.begin(), plan.resumes.end(),
      [](const TrialPlan::Resume& a, const TrialPlan::Resume& b) { return a.stage < b.stage; });
  return plan;
}

}  // namespace bitquake
