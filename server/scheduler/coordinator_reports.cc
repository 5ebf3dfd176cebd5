// What workers report: committed once, checked against what is known, never believed blindly.
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/expansion.h"
#include "server/scheduler/job_row.h"
#include "server/scheduler/plausible.h"
#include "spdlog/spdlog.h"

namespace bitquake {

absl::StatusOr<std::unique_ptr<Coordinator::JobRow>> Coordinator::FindReported(
    Database& db, const bitquake::Report& report, int64_t job, JobKind kind) {
  ASSIGN_OR_RETURN(std::unique_ptr<JobRow> found, FindJob(db, job));
  if (found != nullptr && (found->campaign != report.campaign || found->kind != kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("job ", job, " is not such a job of campaign ", report.campaign));
  }
  return found;
}

absl::StatusOr<std::unique_ptr<Coordinator::JobRow>> Coordinator::FindJob(Database& db,
                                                                          int64_t job) {
  std::unique_ptr<JobRow> found;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT j.id, j.batch, b.kind, b.variant, b.campaign, coalesce(j.cell, 0), j.trial, j.fold, "
      "j.state, coalesce(j.lease, 0), j.failures, v.model, v.format FROM jobs j JOIN batches b ON "
      "b.id = j.batch JOIN variants v ON v.id = b.variant WHERE j.id = ?",
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

absl::Status Coordinator::ApplyReport(Database& db, const bitquake::Report& report) {
  ASSIGN_OR_RETURN(WorkerState * worker, Known(report.worker));
  worker->last_seen = clock_->Monotonic();
  if (!worker->quarantine.empty()) {
    // Acknowledged and not believed: what it held has gone back already.
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const CampaignFacts* facts, FactsOf(db, report.campaign));
  if (facts == nullptr) {
    // Work of another store, whose numbers of jobs and leases would hit strangers here.
    spdlog::warn("worker {}: a report for campaign '{}', which is not in this database",
                 report.worker, report.campaign);
    return absl::OkStatus();
  }
  if (const auto* trial = std::get_if<TrialOutcomeReport>(&report.body)) {
    return ApplyTrial(db, report, *trial);
  }
  if (std::holds_alternative<LeaseEnd>(report.body)) {
    return ApplyLeaseEnd(db, report, std::get<LeaseEnd>(report.body).lost);
  }
  if (const auto* begun = std::get_if<JobsBegun>(&report.body)) {
    ApplyBegun(report, *begun);
    return absl::OkStatus();
  }
  // The rare ones change anything.
  if (const auto* failure = std::get_if<FailureReport>(&report.body)) {
    RETURN_IF_ERROR(ApplyFailure(db, report, *failure));
  } else if (const auto* probe = std::get_if<ProbeOutcome>(&report.body)) {
    RETURN_IF_ERROR(ApplyProbe(db, report, *probe));
  } else if (const auto* golden = std::get_if<GoldenOutcomeReport>(&report.body)) {
    RETURN_IF_ERROR(ApplyGolden(db, report, *golden));
  }
  Forget();
  return absl::OkStatus();
}

void Coordinator::ApplyBegun(const bitquake::Report& report, const JobsBegun& begun) {
  const auto lease = leases_.find(report.lease);
  if (lease == leases_.end() || lease->second.worker != report.worker) {
    TellEnded(report.worker, report.lease);
    return;
  }
  lease->second.begun = begun.jobs;
}

absl::Status Coordinator::ApplyLeaseEnd(Database& db, const bitquake::Report& report, bool lost) {
  const auto lease = leases_.find(report.lease);
  if (lease == leases_.end() || lease->second.worker != report.worker) {
    return absl::OkStatus();
  }
  if (lost) {
    spdlog::warn("lease {}: its worker {} died at work", report.lease, report.worker);
    return EndLease(db, report.lease, /*lost=*/true);
  }
  double& speed = workers_[report.worker].images_per_second[lease->second.model];
  speed = UpdatedSpeed(speed, lease->second.images, clock_->Monotonic() - lease->second.granted);
  return EndLease(db, report.lease, /*lost=*/false);
}

void Coordinator::CountImages(const bitquake::Report& report, const std::string& campaign,
                              int64_t images, int64_t run) {
  const auto lease = leases_.find(report.lease);
  if (lease != leases_.end()) {
    lease->second.images += run;
  }
  counters_.images += images;
  ++counters_.outcomes;
  Changed(campaign);
  unwritten_.counts[campaign].images += images;
}

absl::Status Coordinator::RemoveJob(Database& db, const JobRow& job) {
  RETURN_IF_ERROR(db.Run("DELETE FROM jobs WHERE id = ?", {job.job}));
  CampaignCounts& counts = unwritten_.counts[job.campaign];
  ++counts.jobs_done;
  // Its lease may have ended before its outcome came, and more may have been given up.
  if (job.state == "poisoned") {
    --counts.jobs_poisoned;
  } else if (job.state == "ready") {
    RETURN_IF_ERROR(db.Run("UPDATE batches SET ready = ready - 1 WHERE id = ?", {job.batch}));
    Forget();
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ApplyProbe(Database& db, const bitquake::Report& report,
                                     const ProbeOutcome& probe) {
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job,
                   FindReported(db, report, probe.job, JobKind::kProbe));
  if (job == nullptr) {
    ++counters_.duplicate_outcomes;
    return absl::OkStatus();
  }
  const std::string wrong = WhatCannotBe(probe);
  if (!wrong.empty()) {
    return Distrust(db, report, *job, wrong);
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
  CountImages(report, job->campaign, 0, 0);
  std::string error;
  RETURN_IF_ERROR(db.ForEach("SELECT error FROM campaigns WHERE id = ? AND state = 'failed'",
                             {job->campaign}, [&](const Row& row) {
                               error = row.Text(0);
                               return absl::OkStatus();
                             }));
  work_may_be_ready_ = true;
  return error.empty() ? absl::OkStatus() : FailCampaign(db, job->campaign, error);
}

absl::Status Coordinator::CountDuplicate(Database& db, const bitquake::Report& report, int64_t job,
                                         const std::string& digest) {
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
  return absl::OkStatus();
}

absl::Status Coordinator::ApplyGolden(Database& db, const bitquake::Report& report,
                                      const GoldenOutcomeReport& golden) {
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job,
                   FindReported(db, report, golden.job, JobKind::kGolden));
  if (job == nullptr) {
    return CountDuplicate(db, report, golden.job, golden.digest);
  }
  ASSIGN_OR_RETURN(const CampaignFacts* facts, FactsOf(db, job->campaign));
  const int64_t fold_images = facts->ImagesOf(job->fold);
  if (golden.images != fold_images ||
      golden.predictions.size() != static_cast<size_t>(fold_images) * sizeof(int32_t)) {
    return Distrust(db, report, *job,
                    absl::StrCat("golden outcome over ", golden.images, " images; fold ", job->fold,
                                 " has ", fold_images));
  }
  ASSIGN_OR_RETURN(std::string wrong, WhatIsWrongWithDetails(db, *job, golden));
  if (wrong.empty()) {
    wrong = WhatCannotBe(golden);
  }
  if (!wrong.empty()) {
    return Distrust(db, report, *job, wrong);
  }
  RETURN_IF_ERROR(db.Run(
      "INSERT INTO goldens (variant, fold, job, images, top1, top5, digest, worker, device_kind, "
      "predictions, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {job->variant, job->fold, job->job, golden.images, golden.top1, golden.top5, golden.digest,
       report.worker, workers_[report.worker].identity.device_kind, Blob{golden.predictions},
       golden.seconds}));
  RETURN_IF_ERROR(KeepDetails(db, *job, golden));
  RETURN_IF_ERROR(RemoveJob(db, *job));
  CountImages(report, job->campaign, golden.images, golden.images);
  work_may_be_ready_ = true;  // trials of this fold may begin
  // The last golden outcome is what a plan waits for; it says which jobs there are.
  RETURN_IF_ERROR(PlanOf(db, job->campaign).status());
  return FinishIfComplete(db, job->campaign);
}

// What other folds of the job's trial have reported.
struct Coordinator::StartedTrial {
  int64_t folds_done = 0;
  std::string faults_digest;
  int64_t flips = 0;
  std::string flips_per_bit;  // as stored
};

namespace {

std::string StoredFlips(const TrialOutcomeReport& trial) {
  return nlohmann::json(trial.flips_per_bit).dump();
}

}  // namespace

absl::StatusOr<Coordinator::StartedTrial> Coordinator::FindTrial(Database& db, const JobRow& job) {
  StartedTrial started;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT folds_done, faults_digest, flips, flips_per_bit FROM trials WHERE cell = ? "
      "AND trial = ?",
      {job.cell, job.trial}, [&](const Row& row) {
        started = {row.Int(0), row.Text(1), row.Int(2), row.Text(3)};
        return absl::OkStatus();
      }));
  return started;
}

absl::StatusOr<std::string> Coordinator::WhatIsWrong(Database& db, const JobRow& job,
                                                     const TrialOutcomeReport& trial) {
  ASSIGN_OR_RETURN(const CampaignFacts* facts, FactsOf(db, job.campaign));
  const int64_t fold_images = facts->ImagesOf(job.fold);
  if (trial.images != fold_images) {
    return absl::StrCat("outcome over ", trial.images, " images; fold ", job.fold, " has ",
                        fold_images);
  }
  if (trial.flips != trial.flips_wanted) {
    return absl::StrCat(trial.flips, " bits flipped, ", trial.flips_wanted, " wanted");
  }
  std::string wrong = WhatCannotBe(trial);
  if (!wrong.empty()) {
    return wrong;
  }
  return WhatIsWrongWithDetails(db, job, trial);
}

// Two workers that agree outvote a third; of two that differ nobody knows which is right, so the
// campaign pauses for a person to look.
absl::Status Coordinator::Dispute(Database& db, const bitquake::Report& report, const JobRow& job,
                                  const Disagreement& disagreement, bool outvoted) {
  const std::string& what = disagreement.what;
  if (outvoted) {
    return Distrust(db, report, job, what);
  }
  ++counters_.digest_mismatches;
  RETURN_IF_ERROR(Alarm(db, disagreement.alarm, report.worker, job.job, what));
  RETURN_IF_ERROR(GiveBack(db, job, what));
  return PauseWithError(db, job.campaign,
                        absl::StrCat(what, "; one of the two ", disagreement.does,
                                     " wrongly: stop it, and submit the campaign anew"));
}

// The folds of a trial have one fault list, with one count of flips.
absl::StatusOr<bool> Coordinator::AgreesWithOtherFolds(Database& db, const bitquake::Report& report,
                                                       const JobRow& job,
                                                       const StartedTrial& started,
                                                       const TrialOutcomeReport& trial) {
  if (started.folds_done == 0) {
    return true;
  }
  const std::string flips_per_bit = StoredFlips(trial);
  if (std::tie(started.faults_digest, started.flips, started.flips_per_bit) ==
      std::tie(trial.faults_digest, trial.flips, flips_per_bit)) {
    return true;
  }
  int64_t workers = 0;
  std::string other;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT count(DISTINCT worker), min(worker) FROM outcomes WHERE cell = ? AND trial = ?",
      {job.cell, job.trial}, [&](const Row& row) {
        workers = row.Int(0);
        other = row.Text(1);
        return absl::OkStatus();
      }));
  const std::string what =
      absl::StrCat("fault list ", trial.faults_digest, " of ", trial.flips, " flips ",
                   flips_per_bit, " on worker '", report.worker, "' in fold ", job.fold,
                   "; another fold of the trial had ", started.faults_digest, " of ", started.flips,
                   " flips ", started.flips_per_bit, " on '", other, "'");
  RETURN_IF_ERROR(Dispute(db, report, job, {"fault lists differ", what, "draws"},
                          /*outvoted=*/workers > 1 || other == report.worker));
  return false;
}

// Golden logits are compared among workers of one device kind, what was counted from the same
// logits among all.
absl::StatusOr<bool> Coordinator::AgreesWithGolden(Database& db, const bitquake::Report& report,
                                                   const JobRow& job,
                                                   const TrialOutcomeReport& trial) {
  ASSIGN_OR_RETURN(const PinnedGolden* golden, GoldenOf(db, job.variant, job.fold));
  if (golden == nullptr) {
    return true;
  }
  const PinnedGolden pinned = *golden;
  const bool same_logits = pinned.digest == trial.golden_digest;
  const bool same_counts = pinned.top1 == trial.golden_top1 && pinned.top5 == trial.golden_top5;
  if (!same_logits && pinned.device_kind != workers_[report.worker].identity.device_kind) {
    return true;
  }
  if (same_logits && same_counts) {
    if (!pinned.confirmed && pinned.worker != report.worker) {
      RETURN_IF_ERROR(db.Run("UPDATE goldens SET confirmed = 1 WHERE variant = ? AND fold = ?",
                             {job.variant, job.fold}));
      Forget();
    }
    return true;
  }
  const std::string what =
      same_logits ? absl::StrCat("golden_top1 ", trial.golden_top1, " and golden_top5 ",
                                 trial.golden_top5, " of fold ", job.fold, " on worker '",
                                 report.worker, "'; the same golden logits had ", pinned.top1,
                                 " and ", pinned.top5, " on '", pinned.worker, "'")
                  : absl::StrCat("golden logits of fold ", job.fold,
                                 " differ: ", trial.golden_digest, " on worker '", report.worker,
                                 "', ", pinned.digest, " on '", pinned.worker, "'");
  RETURN_IF_ERROR(Dispute(db, report, job, {"golden outcomes differ", what, "computes"},
                          /*outvoted=*/pinned.confirmed || pinned.worker == report.worker));
  return false;
}

absl::Status Coordinator::ApplyTrial(Database& db, const bitquake::Report& report,
                                     const TrialOutcomeReport& trial) {
  ASSIGN_OR_RETURN(const std::unique_ptr<JobRow> job,
                   FindReported(db, report, trial.job, JobKind::kTrials));
  if (job == nullptr) {
    return CountDuplicate(db, report, trial.job, trial.outcome_digest);
  }
  ASSIGN_OR_RETURN(const StartedTrial started, FindTrial(db, *job));
  ASSIGN_OR_RETURN(const std::string wrong, WhatIsWrong(db, *job, trial));
  if (!wrong.empty()) {
    RETURN_IF_ERROR(Distrust(db, report, *job, wrong));
    Forget();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(bool agrees, AgreesWithOtherFolds(db, report, *job, started, trial));
  if (agrees) {
    ASSIGN_OR_RETURN(agrees, AgreesWithGolden(db, report, *job, trial));
  }
  if (!agrees) {
    Forget();
    return absl::OkStatus();
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
              report.worker, workers_[report.worker].identity.device_kind, trial.seconds}));
  RETURN_IF_ERROR(KeepDetails(db, *job, trial));
  RETURN_IF_ERROR(RemoveJob(db, *job));
  RETURN_IF_ERROR(AddToTrial(db, *job, started, trial));
  counters_.flips += trial.flips;
  CountImages(report, job->campaign, trial.images, trial.inferences);
  CampaignCounts& counts = unwritten_.counts[job->campaign];
  (trial.flips == 0 ? counts.images_without_flips : counts.images_copied) +=
      trial.images - trial.inferences;
  return FinishIfComplete(db, job->campaign);
}

absl::Status Coordinator::AddToTrial(Database& db, const JobRow& job, const StartedTrial& started,
                                     const TrialOutcomeReport& outcome) {
  ASSIGN_OR_RETURN(const Campaign* campaign, CachedCampaign(db, job.campaign));
  ASSIGN_OR_RETURN(const CampaignFacts* facts, FactsOf(db, job.campaign));
  const size_t wanted =
      FoldsOfTrial(*campaign, static_cast<int>(facts->fold_sizes.size()), job.trial).size();
  const bool finished = started.folds_done + 1 == static_cast<int64_t>(wanted);
  if (started.folds_done == 0) {
    RETURN_IF_ERROR(
        db.Run("INSERT INTO trials (cell, trial, folds_done, finished, images, top1, top5, "
               "golden_top1, golden_top5, sdc, due, inferences, flips, flips_per_bit, "
               "faults_digest) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               {job.cell, job.trial, finished, outcome.images, outcome.top1, outcome.top5,
                outcome.golden_top1, outcome.golden_top5, outcome.sdc, outcome.due,
                outcome.inferences, outcome.flips, StoredFlips(outcome), outcome.faults_digest}));
  } else {
    RETURN_IF_ERROR(db.Run(
        "UPDATE trials SET folds_done = folds_done + 1, finished = ?, images = images + ?, "
        "top1 = top1 + ?, top5 = top5 + ?, golden_top1 = golden_top1 + ?, golden_top5 = "
        "golden_top5 + ?, sdc = sdc + ?, due = due + ?, inferences = inferences + ? WHERE "
        "cell = ? AND trial = ?",
        {finished, outcome.images, outcome.top1, outcome.top5, outcome.golden_top1,
         outcome.golden_top5, outcome.sdc, outcome.due, outcome.inferences, job.cell, job.trial}));
  }
  if (!finished) {
    return absl::OkStatus();
  }
  ++counters_.trials;
  RETURN_IF_ERROR(db.Run(
      "UPDATE cells SET trials_done = trials_done + 1, loss_sum = loss_sum + t.golden_top1 - "
      "t.top1, loss_square_sum = loss_square_sum + (t.golden_top1 - t.top1) * (t.golden_top1 - "
      "t.top1), images_sum = images_sum + t.images FROM trials t WHERE cells.id = ? AND t.cell = ? "
      "AND t.trial = ?",
      {job.cell, job.cell, job.trial}));
  ASSIGN_OR_RETURN(TrialPlan * plan, PlanOf(db, job.campaign));
  if (plan == nullptr) {
    return absl::OkStatus();
  }
  work_may_be_ready_ = true;  // the trial may have completed a batch
  return plan->TrialFinished(db, job.cell);
}

absl::Status Coordinator::FinishIfComplete(Database&, const std::string& campaign) {
  unwritten_.perhaps_complete.insert(campaign);
  return absl::OkStatus();
}

}  // namespace bitquake
