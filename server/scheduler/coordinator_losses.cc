// Leases whose workers were lost: who is suspected of it, who is told, and who is cleared.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/job_row.h"
#include "spdlog/spdlog.h"

namespace bitquake {

// A worker says what it begins. What it has not begun cannot have ended it; where it prepared, no
// job has. A worker that has said nothing (to this process of the coordinator), or that has
// answered all that it said, may have died of any.
std::vector<int64_t> Coordinator::Suspects(int64_t lease, const std::vector<int64_t>& held) const {
  const auto state = leases_.find(lease);
  if (state == leases_.end() || !state->second.begun.has_value()) {
    return held;
  }
  const std::vector<int64_t>& begun = *state->second.begun;
  std::vector<int64_t> suspects;
  for (const int64_t job : held) {
    if (std::find(begun.begin(), begun.end(), job) != begun.end()) {
      suspects.push_back(job);
    }
  }
  return suspects.empty() && !begun.empty() ? held : suspects;
}

absl::Status Coordinator::CountLosses(Database& db, int64_t lease,
                                      const std::vector<int64_t>& suspects) {
  for (const int64_t job : suspects) {
    RETURN_IF_ERROR(db.Run("UPDATE jobs SET losses = losses + 1 WHERE id = ?", {job}));
  }
  if (suspects.size() != 1) {
    return absl::OkStatus();  // of several any may be the cause
  }
  ASSIGN_OR_RETURN(const auto losses,
                   db.QueryInt("SELECT losses FROM jobs WHERE id = ?", {suspects.front()}));
  if (losses.value_or(0) <= options_.max_losses) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> row, FindJob(db, suspects.front()));
  return row == nullptr ? absl::OkStatus()
                        : CountPoisoned(db, *row,
                                        absl::StrCat("its worker was lost ", *losses,
                                                     " times while it ran, at last (lease ", lease,
                                                     ") with no other job at work"));
}

absl::Status Coordinator::RememberExpired(Database& db, int64_t lease, const std::string& worker) {
  constexpr size_t kKept = 10'000;
  std::vector<int64_t> held;
  RETURN_IF_ERROR(db.ForEach("SELECT id FROM jobs WHERE lease = ?", {lease}, [&](const Row& row) {
    held.push_back(row.Int(0));
    return absl::OkStatus();
  }));
  expired_[lease] = {worker, Suspects(lease, held)};
  if (expired_.size() > kKept) {
    expired_.erase(expired_.begin());
  }
  return absl::OkStatus();
}

absl::Status Coordinator::Exonerate(Database& db, const std::string& worker, int64_t lease) {
  const auto found = expired_.find(lease);
  if (found == expired_.end() || found->second.worker != worker) {
    return absl::OkStatus();
  }
  for (const int64_t job : found->second.suspects) {
    RETURN_IF_ERROR(db.Run("UPDATE jobs SET losses = max(losses - 1, 0) WHERE id = ?", {job}));
  }
  expired_.erase(found);
  Forget();
  return absl::OkStatus();
}

void Coordinator::TellEnded(const std::string& worker, int64_t lease) {
  for (const auto& [number, listener] : listeners_) {
    if (listener.worker == worker) {
      AfterCommit([ended = listener.ended, lease](const absl::Status& status) {
        if (status.ok()) {
          ended(lease);
        }
      });
    }
  }
}

}  // namespace bitquake
