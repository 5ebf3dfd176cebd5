// Campaigns whose trials are planned as they go on: the plans, which are memory, beside the store.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/expansion.h"
#include "server/scheduler/trial_plan.h"

namespace bitquake {

absl::StatusOr<TrialPlan*> Coordinator::PlanOf(Database& db, const std::string& campaign) {
  ASSIGN_OR_RETURN(const Campaign* parsed, CachedCampaign(db, campaign));
  if (!IsPlanned(*parsed)) {
    return nullptr;
  }
  ASSIGN_OR_RETURN(const auto open,
                   db.QueryInt("SELECT 1 FROM campaigns WHERE id = ? AND state IN ('running', "
                               "'paused')",
                               {campaign}));
  if (!open.has_value()) {
    plans_.erase(campaign);
    return nullptr;
  }
  plans_used_.insert(campaign);
  const auto found = plans_.find(campaign);
  if (found != plans_.end()) {
    return found->second.get();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<TrialPlan> plan, TrialPlan::Load(db, campaign, *parsed));
  return plan == nullptr ? nullptr : (plans_[campaign] = std::move(plan)).get();
}

absl::StatusOr<int64_t> Coordinator::ExpectedJobs(Database& db, const CampaignSnapshot& now) {
  ASSIGN_OR_RETURN(const TrialPlan* plan, PlanOf(db, now.id));
  if (plan != nullptr) {
    return now.jobs_total + plan->ForecastJobs();
  }
  ASSIGN_OR_RETURN(const Campaign* campaign, CachedCampaign(db, now.id));
  if (!IsPlanned(*campaign) || now.ended()) {
    return now.jobs_total;
  }
  // Golden outcomes are still to come; the trials will be so many at least.
  ASSIGN_OR_RETURN(
      const auto folds,
      db.QueryInt(absl::StrCat("SELECT ", kFoldCount, " FROM campaigns WHERE id = ?"), {now.id}));
  const auto of_trial =
      FoldsOfTrial(*campaign, static_cast<int>(folds.value_or(0)), /*trial=*/0).size();
  return now.jobs_total + now.cells * campaign->trials.min * static_cast<int64_t>(of_trial);
}

}  // namespace bitquake
