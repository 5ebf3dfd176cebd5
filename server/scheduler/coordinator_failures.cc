// What goes wrong: jobs that fail, workers that are not to be believed, campaigns that cannot go
// on.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/job_row.h"
#include "spdlog/spdlog.h"

namespace bitquake {

absl::Status Coordinator::Distrust(Database& db, const bitquake::Report& report, const JobRow& job,
                                   const std::string& why) {
  ++counters_.digest_mismatches;
  RETURN_IF_ERROR(Alarm(db, "wrong outcome", report.worker, job.job, why));
  return Quarantine(db, report.worker, why);
}

absl::Status Coordinator::ApplyFailure(Database& db, const bitquake::Report& report,
                                       const FailureReport& failure) {
  ++counters_.failures;
  spdlog::warn("worker {}: {}", report.worker, failure.error);
  if (failure.untrusted) {
    RETURN_IF_ERROR(Alarm(db, "failed proof", report.worker,
                          failure.jobs.empty() ? 0 : failure.jobs.front(), failure.error));
    return Quarantine(db, report.worker, failure.error);
  }
  for (const int64_t id : failure.jobs) {
    ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job, FindJob(db, id));
    // Only who holds the job may say that it failed.
    if (job == nullptr || job->state != "leased" || job->lease != report.lease) {
      continue;
    }
    if (failure.permanent) {
      workers_[report.worker].excluded.insert(job->campaign);
      RETURN_IF_ERROR(FailJobForGood(db, *job, failure.error));
    } else {
      RETURN_IF_ERROR(FailJob(db, *job, failure.error));
    }
  }
  return absl::OkStatus();
}

// The job cannot run on the worker that had it, whatever is tried.
absl::Status Coordinator::FailJobForGood(Database& db, const JobRow& job,
                                         const std::string& error) {
  Changed(job.campaign);
  const bool someone_else = std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    const WorkerState& worker = entry.second;
    return Live(worker) && worker.quarantine.empty() && worker.excluded.count(job.campaign) == 0;
  });
  if (someone_else) {
    return GiveBack(db, job, error);
  }
  ASSIGN_OR_RETURN(const auto probed,
                   db.QueryInt("SELECT 1 FROM campaigns WHERE id = ? AND 'probing' NOT IN (state, "
                               "paused_state)",
                               {job.campaign}));
  if (!probed.has_value()) {
    return FailCampaign(db, job.campaign, error);  // nothing has been measured yet
  }
  RETURN_IF_ERROR(GiveBack(db, job, error));
  return PauseWithError(db, job.campaign, error);
}

absl::Status Coordinator::FailJob(Database& db, const JobRow& job, const std::string& error) {
  Changed(job.campaign);
  const int failures = job.failures + 1;
  if (failures >= options_.max_failures) {
    return CountPoisoned(db, job, error);
  }
  retries_.emplace(clock_->Monotonic() + RetryDelay(options_, failures), job.job);
  return db.Run(
      "UPDATE jobs SET state = 'waiting', lease = NULL, failures = ?, error = ? WHERE id = ?",
      {failures, error, job.job});
}

absl::Status Coordinator::GiveBack(Database& db, const JobRow& job, const std::string& error) {
  if (job.state == "poisoned") {
    // A campaign that ended without it is not begun again.
    ASSIGN_OR_RETURN(
        const auto ended,
        db.QueryInt("SELECT finished_unix_ms > 0 FROM campaigns WHERE id = ?", {job.campaign}));
    if (ended.value_or(0) != 0) {
      return absl::OkStatus();
    }
  }
  RETURN_IF_ERROR(db.Run("UPDATE jobs SET state = 'ready', lease = NULL, error = ? WHERE id = ?",
                         {error, job.job}));
  work_may_be_ready_ = true;
  if (job.state == "poisoned") {
    --unwritten_.counts[job.campaign].jobs_poisoned;
  }
  return db.Run("UPDATE batches SET ready = ready + ? WHERE id = ?",
                {job.state != "ready", job.batch});
}

absl::Status Coordinator::PauseWithError(Database& db, const std::string& campaign,
                                         const std::string& error) {
  RETURN_IF_ERROR(db.Run(
      "UPDATE campaigns SET paused_state = iif(state = 'paused', paused_state, state), state = "
      "'paused', error = ? WHERE id = ? AND state IN ('probing', 'running', 'paused') AND NOT "
      "(state = 'paused' AND error = ?)",
      {error, campaign, error}));
  if (db.changes() > 0) {
    spdlog::error("campaign {} pauses: {}", campaign, error);
    Changed(campaign);
    Forget();
  }
  return absl::OkStatus();
}

absl::Status Coordinator::CountPoisoned(Database& db, const JobRow& job, const std::string& error) {
  const std::string what =
      job.kind == JobKind::kTrials
          ? absl::StrCat(job.model, " ", job.format, ", cell ", job.cell, ", trial ", job.trial,
                         ", fold ", job.fold, ": ", error)
          : absl::StrCat(job.model, " ", job.format, ": ", error);
  spdlog::error("poisoned: {}", what);
  if (job.kind != JobKind::kTrials) {
    return FailCampaign(db, job.campaign, what);  // without golden there is nothing to compare with
  }
  RETURN_IF_ERROR(db.Run("UPDATE jobs SET state = 'poisoned', lease = NULL, error = ? WHERE id = ?",
                         {what, job.job}));
  RETURN_IF_ERROR(db.Run(kSetReady, {job.batch}));
  RETURN_IF_ERROR(db.Run("UPDATE campaigns SET jobs_poisoned = jobs_poisoned + 1 WHERE id = ?",
                         {job.campaign}));
  ++counters_.poisoned;
  Changed(job.campaign);
  return FinishIfComplete(db, job.campaign);
}

absl::Status Coordinator::FailCampaign(Database& db, const std::string& campaign,
                                       const std::string& error) {
  spdlog::error("campaign {} failed: {}", campaign, error);
  RETURN_IF_ERROR(
      db.Run("UPDATE campaigns SET state = 'failed', error = ?, finished_unix_ms = ? WHERE id = ?",
             {error, absl::ToUnixMillis(clock_->Wall()), campaign}));
  return DropOpenJobs(db, campaign);
}

absl::Status Coordinator::Quarantine(Database& db, const std::string& worker,
                                     const std::string& why) {
  spdlog::error("worker {} is quarantined: {}", worker, why);
  RETURN_IF_ERROR(db.Run("UPDATE workers SET quarantine = ? WHERE id = ?", {why, worker}));
  workers_[worker].quarantine = why;
  return EndLeasesOf(db, worker, /*lost=*/false);
}

absl::Status Coordinator::Alarm(Database& db, const std::string& kind, const std::string& worker,
                                int64_t job, const std::string& detail) {
  spdlog::error("alarm: {} (worker {}, job {}): {}", kind, worker, job, detail);
  return db.Run("INSERT INTO alarms (unix_ms, kind, worker, job, detail) VALUES (?, ?, ?, ?, ?)",
                {absl::ToUnixMillis(clock_->Wall()), kind, worker, job, detail});
}

}  // namespace bitquake
