// What is ready to be leased, and which of it a worker gets.
#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "server/scheduler/candidate.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/expansion.h"

namespace bitquake {

absl::StatusOr<ReadyBatches*> Coordinator::ReadyOf(Database& db, const std::string& campaign) {
  const auto found = remembered_.ready.find(campaign);
  if (found != remembered_.ready.end()) {
    return &found->second;
  }
  ReadyBatches batches;
  RETURN_IF_ERROR(ReadReadyBatches(db, campaign, batches));
  return &(remembered_.ready[campaign] = std::move(batches));
}

absl::Status Coordinator::ReadReadyBatches(Database& db, const std::string& campaign,
                                           ReadyBatches& batches) {
  return db.ForEach(
      "SELECT id, variant, kind, fold, ready, kind < 2 OR EXISTS (SELECT 1 FROM goldens g WHERE "
      "g.variant = b.variant AND g.fold = b.fold) FROM batches b WHERE campaign = ? AND ready > 0 "
      "AND id > ?",
      {campaign, batches.last_id()}, [&](const Row& row) {
        ReadyBatch batch;
        batch.id = row.Int(0);
        batch.variant = row.Int(1);
        batch.kind = static_cast<JobKind>(row.Int(2));
        batch.fold = static_cast<int>(row.Int(3));
        batch.ready = row.Int(4);
        batch.comparable = row.Int(5) != 0;
        batches.Add(std::move(batch));
        return absl::OkStatus();
      });
}

absl::Status Coordinator::ReadReadyJobs(Database& db, ReadyBatch& batch) {
  if (batch.jobs.has_value()) {
    return absl::OkStatus();
  }
  std::vector<ReadyBatch::Job> jobs;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT id, failures, losses FROM jobs WHERE batch = ? AND state = 'ready' ORDER "
      "BY failures + losses DESC, id",
      {batch.id}, [&](const Row& row) {
        jobs.push_back({row.Int(0), static_cast<int>(row.Int(1)), static_cast<int>(row.Int(2))});
        return absl::OkStatus();
      }));
  batch.jobs = std::move(jobs);
  return absl::OkStatus();
}

// Campaigns in the order of submission; in each, probes before golden runs before trials, and what
// the worker has loaded before anything else of that kind. Trials of a fold begin when its golden
// outcome is pinned, to be compared with.
absl::StatusOr<std::optional<Coordinator::Candidate>> Coordinator::FindWork(
    Database& db, const WorkerState& worker) {
  ASSIGN_OR_RETURN(const OpenCampaigns* open, Open(db));
  for (const auto& [campaign, running] : *open) {
    if (worker.excluded.count(campaign) > 0) {
      continue;
    }
    const auto look = [&]() -> absl::StatusOr<ReadyBatches*> {
      if (running) {
        RETURN_IF_ERROR(FactsOf(db, campaign).status());  // what a lease will ask for
      }
      return MakeReadyJobs(db, campaign, running);
    };
    absl::StatusOr<ReadyBatches*> made = look();
    if (absl::IsDataLoss(made.status())) {
      // One campaign's row is damaged: it waits for a person, the others go on.
      RETURN_IF_ERROR(PauseWithError(db, campaign, std::string(made.status().message())));
      Forget();
      return FindWork(db, worker);
    }
    ASSIGN_OR_RETURN(const ReadyBatches* ready, std::move(made));
    const ReadyBatch* best = ready->First(worker.variant);
    if (best != nullptr) {
      return Candidate{best->id, campaign, best->variant, best->kind, ready->jobs()};
    }
  }
  return std::nullopt;
}

absl::StatusOr<ReadyBatches*> Coordinator::MakeReadyJobs(Database& db, const std::string& campaign,
                                                         bool running) {
  ASSIGN_OR_RETURN(ReadyBatches * batches, ReadyOf(db, campaign));
  while (running && batches->jobs() < options_.ready_jobs) {
    ASSIGN_OR_RETURN(const bool made, MakeWave(db, campaign));
    if (!made) {
      return batches;
    }
    RETURN_IF_ERROR(ReadReadyBatches(db, campaign, *batches));
  }
  if (running && batches->jobs() < ReadyJobs(options_, LiveWorkers())) {
    short_of_jobs_ = campaign;
  }
  return batches;
}

absl::StatusOr<bool> Coordinator::MakeWave(Database& db, const std::string& campaign) {
  ASSIGN_OR_RETURN(const Campaign* parsed, CachedCampaign(db, campaign));
  if (!IsPlanned(*parsed)) {
    return ExpandWave(db, campaign, *parsed, options_.pairs_per_wave);
  }
  ASSIGN_OR_RETURN(TrialPlan * plan, PlanOf(db, campaign));
  return plan == nullptr ? absl::StatusOr<bool>(false)
                         : plan->MakeJobs(db, options_.pairs_per_wave);
}

absl::Status Coordinator::MakeJobsAhead(Database& db) {
  const std::string campaign = std::exchange(short_of_jobs_, "");
  if (campaign.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool made, MakeWave(db, campaign));
  const auto remembered = remembered_.ready.find(campaign);
  return made && remembered != remembered_.ready.end()
             ? ReadReadyBatches(db, campaign, remembered->second)
             : absl::OkStatus();
}

absl::StatusOr<int64_t> Coordinator::LeaseSize(Database& db, int64_t lease,
                                               const WorkerState& worker, const Candidate& work) {
  if (work.kind == JobKind::kProbe) {
    return 1;
  }
  std::string model;
  RETURN_IF_ERROR(
      db.ForEach("SELECT model FROM variants WHERE id = ?", {work.variant}, [&](const Row& row) {
        model = row.Text(0);
        return absl::OkStatus();
      }));
  ASSIGN_OR_RETURN(const CampaignFacts* facts, FactsOf(db, work.campaign));
  const bool known = facts != nullptr && facts->images > 0;
  const double images_per_job =
      known ? static_cast<double>(facts->images) / static_cast<double>(facts->fold_sizes.size())
            : 0;
  const auto speed = worker.images_per_second.find(model);
  const int64_t jobs =
      LeaseJobs(options_, speed == worker.images_per_second.end() ? 0 : speed->second,
                images_per_job, work.ready_in_campaign, LiveWorkers());
  const int64_t grown = Grown(jobs, worker.last_lease_jobs, LiveWorkers());
  return std::min(Spread(grown, lease, LiveWorkers()), options_.max_lease_jobs);
}

// Jobs for a lease, from the batch that was found and others like it: those of its fold first,
// which share its golden pass, then fold by fold. Suspects, which failed before or whose lease was
// lost, are leased among themselves, and fewer together each time: one that brings workers down
// takes few others with it, and in the end is known by name.
absl::StatusOr<int64_t> Coordinator::TakeJobs(Database& db, int64_t lease, const Candidate& work,
                                              int64_t most) {
  ASSIGN_OR_RETURN(ReadyBatches * ready, ReadyOf(db, work.campaign));
  constexpr size_t kMostBatches = 65;
  int64_t jobs = 0;
  std::optional<bool> suspects;  // what this lease holds; the first batch decides
  for (ReadyBatch* batch : ready->Alike(work.batch, kMostBatches)) {
    if (jobs >= most) {
      break;
    }
    RETURN_IF_ERROR(ReadReadyJobs(db, *batch));
    int failures = 0;
    int losses = 0;
    for (const ReadyBatch::Job& job : *batch->jobs) {
      failures = std::max(failures, job.failures);
      losses = std::max(losses, job.losses);
    }
    if (!suspects.has_value()) {
      suspects = failures + losses > 0;
    }
    if (*suspects) {
      most = std::min(most, SuspectLeaseJobs(failures, losses));
    }
    if (jobs >= most) {
      break;
    }
    ASSIGN_OR_RETURN(const int64_t taken, TakeFromBatch(db, lease, *batch, *suspects, most - jobs));
    jobs += taken;
    ready->Leased(batch->id, taken);
  }
  return jobs;
}

absl::StatusOr<int64_t> Coordinator::TakeFromBatch(Database& db, int64_t lease, ReadyBatch& batch,
                                                   bool suspects, int64_t most) {
  std::vector<ReadyBatch::Job> left;
  int64_t taken = 0;
  for (const ReadyBatch::Job& job : *batch.jobs) {
    if (taken >= most || job.suspect() != suspects) {
      left.push_back(job);
      continue;
    }
    RETURN_IF_ERROR(
        db.Run("UPDATE jobs SET state = 'leased', lease = ? WHERE id = ?", {lease, job.id}));
    ++taken;
  }
  batch.jobs = std::move(left);
  RETURN_IF_ERROR(db.Run("UPDATE batches SET ready = ready - ? WHERE id = ?", {taken, batch.id}));
  return taken;
}

}  // namespace bitquake
