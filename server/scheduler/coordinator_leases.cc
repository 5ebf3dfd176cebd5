// Workers and leases: who may work, what they get, and when it ends.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/scheduler/candidate.h"
#include "server/scheduler/coordinator.h"
#include "server/scheduler/job_row.h"
#include "spdlog/spdlog.h"

namespace bitquake {

absl::StatusOr<Coordinator::WorkerState*> Coordinator::Known(const std::string& worker) {
  const auto found = workers_.find(worker);
  if (found == workers_.end()) {
    return absl::NotFoundError(absl::StrCat("unknown worker '", worker, "'; register first"));
  }
  return &found->second;
}

bool Coordinator::Live(const WorkerState& worker) const {
  return worker.last_seen + options_.lease >= clock_->Monotonic();
}

int Coordinator::LiveWorkers() {
  if (!remembered_.live_workers.has_value()) {
    const absl::Duration oldest = clock_->Monotonic() - options_.lease;
    remembered_.live_workers = static_cast<int>(
        std::count_if(workers_.begin(), workers_.end(),
                      [oldest](const auto& entry) { return entry.second.last_seen >= oldest; }));
  }
  return *remembered_.live_workers;
}

absl::Status Coordinator::ApplyRegister(Database& db, const WorkerIdentity& identity,
                                        const std::vector<int64_t>& kept) {
  WorkerState& worker = workers_[identity.id];
  const bool same_process = worker.identity.instance == identity.instance;
  worker.last_seen = clock_->Monotonic();
  if (same_process) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(db.Run(
      "INSERT INTO workers (id, instance, host, version, device_kind) VALUES (?, ?, ?, ?, ?) ON "
      "CONFLICT (id) DO UPDATE SET instance = excluded.instance, host = excluded.host, version = "
      "excluded.version, device_kind = excluded.device_kind, quarantine = ''",
      {identity.id, identity.instance, identity.host, identity.version, identity.device_kind}));
  // A new process under the name: what the old one held is lost with it, but for what it spooled.
  RETURN_IF_ERROR(EndLeasesOf(db, identity.id, /*lost=*/true, kept));
  // It numbers its requests anew, and is given none of those leases again.
  RETURN_IF_ERROR(db.Run("UPDATE leases SET request_number = -id WHERE worker = ?", {identity.id}));
  for (const int64_t id : kept) {
    const auto lease = leases_.find(id);
    if (lease != leases_.end() && lease->second.worker == identity.id) {
      lease->second.deadline = clock_->Monotonic() + options_.lease;
    }
  }
  worker = WorkerState{};
  worker.identity = identity;
  worker.last_seen = clock_->Monotonic();
  spdlog::info("worker {} on {} ({})", identity.id, identity.host, identity.device_kind);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LeaseGrant>> Coordinator::RepeatLease(Database& db,
                                                                     const std::string& worker,
                                                                     int64_t request_number) {
  auto grant = std::make_unique<LeaseGrant>();
  int64_t variant = 0;
  RETURN_IF_ERROR(db.ForEach(
      "SELECT id, campaign, variant, kind FROM leases WHERE worker = ? AND request_number = ?",
      {worker, request_number}, [&](const Row& row) {
        grant->lease = row.Int(0);
        grant->campaign = row.Text(1);
        variant = row.Int(2);
        grant->kind = static_cast<JobKind>(row.Int(3));
        return absl::OkStatus();
      }));
  if (grant->lease == 0) {
    return nullptr;
  }
  RETURN_IF_ERROR(FillGrant(db, *grant, variant));
  return grant;
}

absl::StatusOr<std::unique_ptr<LeaseGrant>> Coordinator::TryLease(Database& db,
                                                                  const std::string& worker_id,
                                                                  int64_t request_number) {
  ASSIGN_OR_RETURN(WorkerState * worker, Known(worker_id));
  worker->last_seen = clock_->Monotonic();
  if (!worker->quarantine.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("worker '", worker_id, "' is quarantined: ", worker->quarantine));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<LeaseGrant> grant, RepeatLease(db, worker_id, request_number));
  if (grant != nullptr || request_number <= worker->closed_request) {
    return grant;
  }
  ASSIGN_OR_RETURN(const std::optional<Candidate> work, FindWork(db, *worker));
  if (!work.has_value()) {
    return nullptr;
  }
  grant = std::make_unique<LeaseGrant>();
  grant->campaign = work->campaign;
  grant->kind = work->kind;
  RETURN_IF_ERROR(db.Run(
      "INSERT INTO leases (worker, request_number, campaign, variant, kind, jobs) VALUES "
      "(?, ?, ?, ?, ?, 0)",
      {worker_id, request_number, work->campaign, work->variant, static_cast<int>(work->kind)}));
  grant->lease = db.last_insert_id();
  ASSIGN_OR_RETURN(const int64_t size, LeaseSize(db, grant->lease, *worker, *work));
  ASSIGN_OR_RETURN(const int64_t jobs, TakeJobs(db, grant->lease, *work, size));
  RETURN_IF_ERROR(db.Run("UPDATE leases SET jobs = ? WHERE id = ?", {jobs, grant->lease}));
  RETURN_IF_ERROR(FillGrant(db, *grant, work->variant));

  const absl::Duration now = clock_->Monotonic();
  worker->variant = work->variant;
  worker->last_lease_jobs = jobs;
  leases_[grant->lease] = {worker_id, work->campaign, grant->model, now + options_.lease, now};
  Changed(work->campaign);
  return grant;
}

absl::Status Coordinator::FillGrant(Database& db, LeaseGrant& grant, int64_t variant) {
  RETURN_IF_ERROR(db.ForEach(
      "SELECT v.model, v.format, c.resolved, coalesce(m.chunk, 0), c.data_digest, "
      "coalesce(m.digest, '') FROM variants v JOIN campaigns c ON c.id = v.campaign LEFT JOIN "
      "models m ON m.campaign = c.id AND m.model = v.model WHERE v.id = ?",
      {variant}, [&](const Row& row) {
        grant.model = row.Text(0);
        grant.format = row.Text(1);
        grant.resolved_json = row.Text(2);
        grant.chunk = static_cast<int>(row.Int(3));
        grant.data_digest = row.Text(4);
        grant.model_digest = row.Text(5);
        return absl::OkStatus();
      }));
  RETURN_IF_ERROR(
      db.ForEach("SELECT id, coalesce(cell, 0), trial, fold, failures + losses FROM jobs WHERE "
                 "lease = ? ORDER BY id",
                 {grant.lease}, [&](const Row& row) {
                   grant.jobs.push_back({row.Int(0), row.Int(1), static_cast<uint32_t>(row.Int(2)),
                                         static_cast<int>(row.Int(3))});
                   grant.one_by_one = grant.one_by_one || row.Int(4) > 0;
                   return absl::OkStatus();
                 }));
  return db.ForEach(
      "SELECT id, granularity_index, target, ber, fault FROM cells WHERE id IN (SELECT DISTINCT "
      "cell "
      "FROM jobs WHERE lease = ?) ORDER BY id",
      {grant.lease}, [&](const Row& row) {
        grant.cells.push_back(
            {row.Int(0), static_cast<int>(row.Int(1)), row.Text(2), row.Double(3), row.Text(4)});
        return absl::OkStatus();
      });
}

absl::Status Coordinator::EndLease(Database& db, int64_t lease, bool lost) {
  std::vector<int64_t> held;
  std::set<int64_t> batches;
  RETURN_IF_ERROR(
      db.ForEach("SELECT id, batch FROM jobs WHERE lease = ?", {lease}, [&](const Row& row) {
        held.push_back(row.Int(0));
        batches.insert(row.Int(1));
        return absl::OkStatus();
      }));
  RETURN_IF_ERROR(db.Run("UPDATE jobs SET state = 'ready', lease = NULL WHERE lease = ?", {lease}));
  if (lost) {
    RETURN_IF_ERROR(CountLosses(db, lease, Suspects(lease, held)));
  }
  for (const int64_t batch : batches) {
    RETURN_IF_ERROR(db.Run(kSetReady, {batch}));
  }
  RETURN_IF_ERROR(db.Run("DELETE FROM leases WHERE id = ?", {lease}));
  const auto state = leases_.find(lease);
  if (state != leases_.end()) {
    Changed(state->second.campaign);
    leases_.erase(state);
  }
  work_may_be_ready_ = true;
  if (!held.empty()) {
    Forget();
  }
  return absl::OkStatus();
}

absl::Status Coordinator::EndLeasesOf(Database& db, const std::string& worker, bool lost,
                                      const std::vector<int64_t>& kept) {
  std::vector<int64_t> held;
  for (const auto& [id, lease] : leases_) {
    if (lease.worker == worker && std::find(kept.begin(), kept.end(), id) == kept.end()) {
      held.push_back(id);
    }
  }
  for (const int64_t id : held) {
    TellEnded(worker, id);
    RETURN_IF_ERROR(EndLease(db, id, lost));
  }
  return absl::OkStatus();
}

// A server that was stopped, or whose disk was, must not take its own absence for its workers'.
void Coordinator::ExcuseAbsence() {
  const absl::Duration now = clock_->Monotonic();
  if (now - due_ < std::min(options_.lease / 4, absl::Seconds(5))) {
    return;
  }
  spdlog::warn("timers ran {} late: leases have their whole time again",
               absl::FormatDuration(now - due_));
  for (auto& [id, lease] : leases_) {
    lease.deadline = now + options_.lease;
  }
}

absl::Status Coordinator::ExpireLeases(Database& db) {
  ExcuseAbsence();
  const absl::Duration now = clock_->Monotonic();
  std::vector<int64_t> expired;
  for (const auto& [id, lease] : leases_) {
    if (lease.deadline <= now) {
      expired.push_back(id);
    }
  }
  for (const int64_t id : expired) {
    const auto lease = leases_.find(id);
    if (lease == leases_.end()) {
      continue;  // ended with its campaign just now
    }
    const std::string worker = lease->second.worker;
    spdlog::warn("lease {} of worker {} expired", id, worker);
    TellEnded(worker, id);
    RETURN_IF_ERROR(RememberExpired(db, id, worker));
    RETURN_IF_ERROR(EndLease(db, id, /*lost=*/true));
    ++counters_.lease_expirations;
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ReleaseRetries(Database& db) {
  const absl::Duration now = clock_->Monotonic();
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const int64_t job = retries_.begin()->second;
    retries_.erase(retries_.begin());
    RETURN_IF_ERROR(
        db.Run("UPDATE jobs SET state = 'ready' WHERE id = ? AND state = 'waiting'", {job}));
    ASSIGN_OR_RETURN(const auto batch, db.QueryInt("SELECT batch FROM jobs WHERE id = ?", {job}));
    RETURN_IF_ERROR(db.Run(kSetReady, {batch.value_or(0)}));
    work_may_be_ready_ = true;
    Forget();
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ServeWaiters(Database& db) {
  // More of them in one transaction would keep all of them waiting for its end.
  constexpr absl::Duration kTimeOfLeases = absl::Milliseconds(15);
  const absl::Duration now = clock_->Monotonic();
  const bool look = std::exchange(work_may_be_ready_, false);
  bool nothing_is_ready = false;  // for a worker that may work on all campaigns
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    Waiter& waiter = it->second;
    const bool late = waiter.deadline <= now;
    const auto known = workers_.find(waiter.worker);
    const bool choosy = known == workers_.end() || !known->second.excluded.empty();
    if (!late && (!look || (nothing_is_ready && !choosy))) {
      ++it;
      continue;
    }
    absl::StatusOr<std::unique_ptr<LeaseGrant>> grant = nullptr;
    absl::Status tried = db.InSavepoint([&](Database& db) {
      return AsStep([&] {
        grant = TryLease(db, waiter.worker, waiter.request_number);
        return grant.status();
      });
    });
    if (grant.ok() && !tried.ok()) {
      return tried;
    }
    const bool found_nothing = grant.ok() && *grant == nullptr;
    nothing_is_ready = nothing_is_ready || (found_nothing && !choosy);
    if (found_nothing && !late) {
      ++it;
      continue;
    }
    auto shared = std::make_shared<absl::StatusOr<std::unique_ptr<LeaseGrant>>>(std::move(grant));
    AfterCommit([shared, reply = std::move(waiter.reply)](const absl::Status& status) {
      status.ok() ? reply(std::move(*shared)) : reply(status);
    });
    it = waiters_.erase(it);
    if (clock_->Monotonic() - now > kTimeOfLeases) {
      work_may_be_ready_ = work_may_be_ready_ || look;
      break;
    }
  }
  return absl::OkStatus();
}

}  // namespace bitquake
