// What workers report: committed once, checked against what is known, never believed blindly.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/expansion.h"
#include "server/scheduler/job_row.h"
#include "spdlog/spdlog.h"

namespace bitquake {

absl::StatusOr<std::unique_ptr<Coordinator::JobRow>> Coordinator::FindJob(Database& db,
                                                                          int64_t job) {
  std::unique_ptr<JobRow> found;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT j.id, j.batch, b.kind, b.variant, b.campaign, coalesce(j.cell, 0), j.trial, j.fold, "
      "j.state, coalesce(j.lease, 0), j.failures, v.model, v.format FROM jobs j JOIN batches b ON "
      "b.id "
      "= j.batch JOIN variants v ON v.id = b.variant WHERE j.id = ?",
      {job}, [&](const Row& row) {
        found = std::make_unique<JobRow>();
        found->job = row.Int(0);
        found->batch = row.Int(1);
        found->kind = static_cast<JobKind>(row.Int(2));
        found->variant = row.Int(3);
        found->campaign = row.Text(4);
        found->cell = row.Int(5);
        found->trial = static_cast<uint32_t>(row.Int(6));
        found->fold = static_cast<int>(row.Int(7));
        found->state = row.Text(8);
        found->lease = row.Int(9);
        found->failures = static_cast<int>(row.Int(10));
        found->model = row.Text(11);
        found->format = row.Text(12);
        return absl::OkStatus();
      }));
  return found;
}

absl::Status Coordinator::RemoveJob(Database& db, const JobRow& job) {
  RETURN_IF_ERROR(db.Run("DELETE FROM jobs WHERE id = ?", {job.job}));
  // A late outcome may come for a job that was given up already, or is about to be leased again.
  if (job.state == "ready") {
    return db.Run("UPDATE batches SET ready = ready - 1 WHERE id = ?", {job.batch});
  }
  if (job.state == "poisoned") {
    return db.Run("UPDATE campaigns SET jobs_poisoned = jobs_poisoned - 1 WHERE id = ?",
                  {job.campaign});
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ApplyReport(Database& db, const bitquake::Report& report) {
  ASSIGN_OR_RETURN(WorkerState * worker, Known(report.worker));
  worker->last_seen = clock_->Monotonic();
  const auto* failure = std::get_if<FailureReport>(&report.body);
  if (!worker->quarantine.empty()) {
    // Acknowledged and not believed: what it held has gone back already.
    return absl::OkStatus();
  }
  if (failure != nullptr) {
    return ApplyFailure(db, report, *failure);
  }
  if (const auto* probe = std::get_if<ProbeOutcome>(&report.body)) {
    return ApplyProbe(db, report, *probe);
  }
  if (const auto* golden = std::get_if<GoldenOutcomeReport>(&report.body)) {
    return ApplyGolden(db, report, *golden);
  }
  if (const auto* trial = std::get_if<TrialOutcomeReport>(&report.body)) {
    return ApplyTrial(db, report, *trial);
  }
  const auto lease = leases_.find(report.lease);
  if (lease == leases_.end() || lease->second.worker != report.worker) {
    return absl::OkStatus();
  }
  double& speed = worker->images_per_second[lease->second.model];
  speed = UpdatedSpeed(speed, lease->second.images, clock_->Monotonic() - lease->second.granted);
  return EndLease(db, report.lease, /*lost=*/false);
}

void Coordinator::CountImages(const bitquake::Report& report, const std::string& campaign,
                              int64_t images) {
  const auto lease = leases_.find(report.lease);
  if (lease != leases_.end()) {
    lease->second.images += images;
  }
  counters_.images += images;
  ++counters_.outcomes;
  Changed(campaign);
}

absl::Status Coordinator::ApplyProbe(Database& db, const bitquake::Report& report,
                                     const ProbeOutcome& probe) {
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job, FindJob(db, probe.job));
  if (job == nullptr) {
    ++counters_.duplicate_outcomes;
    return absl::OkStatus();
  }
  const absl::Status accepted = AcceptProbe(db, job->campaign, job->model, probe);
  if (absl::IsFailedPrecondition(accepted)) {
    ++counters_.digest_mismatches;
    FailureReport failure;
    failure.jobs = {probe.job};
    failure.error = std::string(accepted.message());
    failure.permanent = true;
    return ApplyFailure(db, report, failure);
  }
  RETURN_IF_ERROR(accepted);
  RETURN_IF_ERROR(RemoveJob(db, *job));
  RETURN_IF_ERROR(
      db.Run("UPDATE campaigns SET jobs_done = jobs_done + 1 WHERE id = ?", {job->campaign}));
  CountImages(report, job->campaign, 0);
  std::string error;
  RETURN_IF_ERROR(db.ForEach("SELECT error FROM campaigns WHERE id = ? AND state = 'failed'",
                             {job->campaign}, [&](const Row& row) {
                               error = row.Text(0);
                               return absl::OkStatus();
                             }));
  work_may_be_ready_ = true;
  return error.empty() ? absl::OkStatus() : FailCampaign(db, job->campaign, error);
}

absl::StatusOr<bool> Coordinator::IsDuplicate(Database& db, const bitquake::Report& report,
                                              int64_t job, const std::string& digest) {
  bool known = false;
  std::string detail;
  const std::string& kind = workers_[report.worker].identity.device_kind;
  for (const char* sql : {"SELECT digest, device_kind FROM outcomes WHERE job = ?",
                          "SELECT digest, device_kind FROM goldens WHERE job = ?"}) {
    RETURN_IF_ERROR(db.ForEach(sql, {job}, [&](const Row& row) {
      known = true;
      if (row.Text(0) != digest && row.Text(1) == kind) {
        detail =
            absl::StrCat("a second outcome with digest ", digest, ", the first has ", row.Text(0));
      }
      return absl::OkStatus();
    }));
  }
  if (known) {
    ++counters_.duplicate_outcomes;
  }
  if (!detail.empty()) {
    ++counters_.digest_mismatches;
    RETURN_IF_ERROR(Alarm(db, "second outcome differs", report.worker, job, detail));
  }
  return known;
}

absl::Status Coordinator::ApplyGolden(Database& db, const bitquake::Report& report,
                                      const GoldenOutcomeReport& golden) {
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job, FindJob(db, golden.job));
  if (job == nullptr) {
    return IsDuplicate(db, report, golden.job, golden.digest).status();
  }
  RETURN_IF_ERROR(db.Run(
      "INSERT INTO goldens (variant, fold, job, images, top1, top5, digest, device_kind, "
      "predictions, "
      "seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {job->variant, job->fold, job->job, golden.images, golden.top1, golden.top5, golden.digest,
       workers_[report.worker].identity.device_kind, Blob{golden.predictions}, golden.seconds}));
  RETURN_IF_ERROR(RemoveJob(db, *job));
  RETURN_IF_ERROR(db.Run(
      "UPDATE campaigns SET jobs_done = jobs_done + 1, images_done = images_done + ? WHERE id = ?",
      {golden.images, job->campaign}));
  CountImages(report, job->campaign, golden.images);
  return FinishIfComplete(db, job->campaign);
}

absl::Status Coordinator::ApplyTrial(Database& db, const bitquake::Report& report,
                                     const TrialOutcomeReport& trial) {
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job, FindJob(db, trial.job));
  if (job == nullptr) {
    return IsDuplicate(db, report, trial.job, trial.outcome_digest).status();
  }
  const WorkerState& worker = workers_[report.worker];
  std::string wrong;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT digest FROM goldens WHERE variant = ? AND fold = ? AND device_kind = ?",
      {job->variant, job->fold, worker.identity.device_kind}, [&](const Row& row) {
        if (row.Text(0) != trial.golden_digest) {
          wrong = absl::StrCat("golden logits of fold ", job->fold,
                               " differ: ", trial.golden_digest, ", pinned ", row.Text(0));
        }
        return absl::OkStatus();
      }));
  ASSIGN_OR_RETURN(const auto fold_images,
                   db.QueryInt("SELECT json_extract(fold_sizes, '$[' || ? || ']') FROM campaigns "
                               "WHERE id = ?",
                               {job->fold, job->campaign}));
  if (trial.images != fold_images.value_or(-1)) {
    wrong = absl::StrCat("outcome over ", trial.images, " images; fold ", job->fold, " has ",
                         fold_images.value_or(-1));
  }
  if (trial.flips != trial.flips_wanted) {
    wrong = absl::StrCat(trial.flips, " bits flipped, ", trial.flips_wanted, " wanted");
  }
  RETURN_IF_ERROR(db.ForEach("SELECT faults_digest FROM trials WHERE cell = ? AND trial = ?",
                             {job->cell, job->trial}, [&](const Row& row) {
                               if (row.Text(0) != trial.faults_digest) {
                                 wrong =
                                     absl::StrCat("fault list ", trial.faults_digest,
                                                  ", another fold of the trial had ", row.Text(0));
                               }
                               return absl::OkStatus();
                             }));
  if (!wrong.empty()) {
    ++counters_.digest_mismatches;
    RETURN_IF_ERROR(Alarm(db, "wrong outcome", report.worker, job->job, wrong));
    return Quarantine(db, report.worker, wrong);
  }

  RETURN_IF_ERROR(
      db.Run("INSERT INTO outcomes (job, cell, trial, fold, images, top1, top5, golden_top1, "
             "golden_top5, sdc, "
             "right_to_wrong, wrong_to_right, due, inferences, digest, worker, device_kind, "
             "seconds) VALUES "
             "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             {job->job, job->cell, job->trial, job->fold, trial.images, trial.top1, trial.top5,
              trial.golden_top1, trial.golden_top5, trial.sdc, trial.right_to_wrong,
              trial.wrong_to_right, trial.due, trial.inferences, trial.outcome_digest,
              report.worker, worker.identity.device_kind, trial.seconds}));
  RETURN_IF_ERROR(RemoveJob(db, *job));
  RETURN_IF_ERROR(AddToTrial(db, *job, trial));
  RETURN_IF_ERROR(db.Run(
      "UPDATE campaigns SET jobs_done = jobs_done + 1, images_done = images_done + ? WHERE id = ?",
      {trial.images, job->campaign}));
  counters_.flips += trial.flips;
  CountImages(report, job->campaign, trial.images);
  return FinishIfComplete(db, job->campaign);
}

absl::Status Coordinator::AddToTrial(Database& db, const JobRow& job,
                                     const TrialOutcomeReport& outcome) {
  RETURN_IF_ERROR(db.Run(
      "INSERT INTO trials (cell, trial, folds_done, finished, images, top1, top5, golden_top1, "
      "golden_top5, sdc, due, inferences, flips, flips_per_bit, faults_digest) VALUES (?, ?, 1, 0, "
      "?, "
      "?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cell, trial) DO UPDATE SET folds_done = "
      "folds_done + "
      "1, images = images + excluded.images, top1 = top1 + excluded.top1, top5 = top5 + "
      "excluded.top5, golden_top1 = golden_top1 + excluded.golden_top1, golden_top5 = golden_top5 "
      "+ "
      "excluded.golden_top5, sdc = sdc + excluded.sdc, due = due + excluded.due, inferences = "
      "inferences + excluded.inferences",
      {job.cell, job.trial, outcome.images, outcome.top1, outcome.top5, outcome.golden_top1,
       outcome.golden_top5, outcome.sdc, outcome.due, outcome.inferences, outcome.flips,
       nlohmann::json(outcome.flips_per_bit).dump(), outcome.faults_digest}));
  ASSIGN_OR_RETURN(const Campaign campaign, CachedCampaign(db, job.campaign));
  ASSIGN_OR_RETURN(const auto folds,
                   db.QueryInt("SELECT json_array_length(fold_sizes) FROM campaigns WHERE id = ?",
                               {job.campaign}));
  const size_t wanted =
      FoldsOfTrial(campaign, static_cast<int>(folds.value_or(0)), job.trial).size();
  RETURN_IF_ERROR(
      db.Run("UPDATE trials SET finished = 1 WHERE cell = ? AND trial = ? AND folds_done = ?",
             {job.cell, job.trial, static_cast<int64_t>(wanted)}));
  if (db.changes() == 0) {
    return absl::OkStatus();
  }
  ++counters_.trials;
  return db.Run(
      "UPDATE cells SET trials_done = trials_done + 1, loss_sum = loss_sum + t.golden_top1 - "
      "t.top1, "
      "loss_square_sum = loss_square_sum + (t.golden_top1 - t.top1) * (t.golden_top1 - t.top1), "
      "images_sum = images_sum + t.images FROM trials t WHERE cells.id = ? AND t.cell = ? AND "
      "t.trial "
      "= ?",
      {job.cell, job.cell, job.trial});
}

absl::Status Coordinator::FinishIfComplete(Database& db, const std::string& campaign) {
  RETURN_IF_ERROR(
      db.Run("UPDATE campaigns SET state = 'done', finished_unix_ms = ? WHERE id = ? AND state IN "
             "('running', "
             "'paused') AND jobs_done + jobs_poisoned >= jobs_total",
             {absl::ToUnixMillis(clock_->Wall()), campaign}));
  if (db.changes() > 0) {
    spdlog::info("campaign {} is done", campaign);
  }
  return absl::OkStatus();
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
    }
    RETURN_IF_ERROR(FailJob(db, *job, failure.error, failure.permanent));
  }
  return absl::OkStatus();
}

absl::Status Coordinator::FailJob(Database& db, const JobRow& job, const std::string& error,
                                  bool permanent) {
  Changed(job.campaign);
  if (permanent) {
    bool someone_else = false;
    for (const auto& [id, worker] : workers_) {
      someone_else |=
          Live(worker) && worker.quarantine.empty() && worker.excluded.count(job.campaign) == 0;
    }
    if (!someone_else) {
      return FailCampaign(db, job.campaign, error);
    }
    RETURN_IF_ERROR(db.Run("UPDATE jobs SET state = 'ready', lease = NULL, error = ? WHERE id = ?",
                           {error, job.job}));
    work_may_be_ready_ = true;
    return db.Run("UPDATE batches SET ready = ready + 1 WHERE id = ?", {job.batch});
  }
  const int failures = job.failures + 1;
  if (failures >= options_.max_failures) {
    return CountPoisoned(db, job, error);
  }
  retries_.emplace(clock_->Monotonic() + RetryDelay(options_, failures), job.job);
  return db.Run(
      "UPDATE jobs SET state = 'waiting', lease = NULL, failures = ?, error = ? WHERE id = ?",
      {failures, error, job.job});
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
  RETURN_IF_ERROR(db.Run(
      "UPDATE batches SET ready = (SELECT count(*) FROM jobs WHERE batch = batches.id AND state = "
      "'ready') WHERE id = ?",
      {job.batch}));
  RETURN_IF_ERROR(db.Run("UPDATE campaigns SET jobs_poisoned = jobs_poisoned + 1 WHERE id = ?",
                         {job.campaign}));
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
  std::vector<int64_t> held;
  for (const auto& [id, lease] : leases_) {
    if (lease.worker == worker) {
      held.push_back(id);
    }
  }
  for (const int64_t id : held) {
    RETURN_IF_ERROR(EndLease(db, id, /*lost=*/false));
  }
  return absl::OkStatus();
}

absl::Status Coordinator::Alarm(Database& db, const std::string& kind, const std::string& worker,
                                int64_t job, const std::string& detail) {
  spdlog::error("alarm: {} (worker {}, job {}): {}", kind, worker, job, detail);
  return db.Run("INSERT INTO alarms (unix_ms, kind, worker, job, detail) VALUES (?, ?, ?, ?, ?)",
                {absl::ToUnixMillis(clock_->Wall()), kind, worker, job, detail});
}

}  // namespace bitquake
