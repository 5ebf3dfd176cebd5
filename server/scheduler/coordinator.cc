#include "server/scheduler/coordinator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "server/scheduler/expansion.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

// How often timers are looked at when nothing is due: a bound, not a period.
constexpr absl::Duration kLongestSleep = absl::Minutes(1);
constexpr char kStopping[] = "the server is shutting down";

}  // namespace

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(Database db, const Clock* clock,
                                                                SchedulerOptions options) {
  std::unique_ptr<Coordinator> coordinator(new Coordinator(clock, options));
  RETURN_IF_ERROR(coordinator->Load(db));
  Coordinator* self = coordinator.get();
  coordinator->writer_ = std::make_unique<Writer>(
      std::move(db), clock,
      WriterHooks{[self](Database& db) { return self->Begin(db); },
                  [self](Database& db) { return self->Tick(db); },
                  [self](const absl::Status& status) { self->Ended(status); }});
  return coordinator;
}

Coordinator::~Coordinator() { Stop(); }

void Coordinator::Stop() {
  if (writer_ == nullptr) {
    return;  // the store could not be read
  }
  writer_->Submit(
      [this](Database&) {
        stopping_ = true;
        for (auto& [number, waiter] : waiters_) {
          AfterCommit([reply = std::move(waiter.reply)](const absl::Status&) {
            reply(absl::UnavailableError(kStopping));
          });
        }
        waiters_.clear();
        for (const auto& [number, watch] : watchers_) {
          watch.changed(absl::UnavailableError(kStopping));
        }
        watchers_.clear();
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
  writer_->Stop();
}

absl::Status Coordinator::Load(Database& db) {
  leases_.clear();
  retries_.clear();
  expired_.clear();
  plans_.clear();
  overviews_.clear();
  Forget();
  const absl::Duration now = clock_->Monotonic();
  RETURN_IF_ERROR(db.ForEach("SELECT identity FROM store", {}, [&](const Row& row) {
    store_ = row.Text(0);
    return absl::OkStatus();
  }));
  // A restart forgets when leases began: each gets its whole time again, for its worker to renew.
  RETURN_IF_ERROR(db.ForEach(
      "SELECT l.id, l.worker, l.campaign, v.model FROM leases l JOIN variants v ON v.id = "
      "l.variant",
      {}, [&](const Row& row) {
        leases_[row.Int(0)] = {row.Text(1), row.Text(2), row.Text(3), now + options_.lease, now};
        return absl::OkStatus();
      }));
  const std::map<std::string, WorkerState> before = std::exchange(workers_, {});
  RETURN_IF_ERROR(db.ForEach(
      "SELECT id, instance, host, version, device_kind, quarantine FROM workers", {},
      [&](const Row& row) {
        WorkerState worker;
        worker.identity = {row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4)};
        worker.quarantine = row.Text(5);
        const auto known = before.find(row.Text(0));
        if (known != before.end() && known->second.identity.instance == worker.identity.instance) {
          worker.last_seen = known->second.last_seen;
          worker.excluded = known->second.excluded;
          worker.images_per_second = known->second.images_per_second;
          worker.last_lease_jobs = known->second.last_lease_jobs;
          worker.closed_request = known->second.closed_request;
        }
        workers_[row.Text(0)] = std::move(worker);
        return absl::OkStatus();
      }));
  RETURN_IF_ERROR(
      db.ForEach("SELECT id FROM jobs WHERE state = 'waiting'", {}, [&](const Row& row) {
        retries_.emplace(now, row.Int(0));
        return absl::OkStatus();
      }));
  work_may_be_ready_ = true;
  return absl::OkStatus();
}

absl::Status Coordinator::Begin(Database& db) {
  if (reload_) {
    RETURN_IF_ERROR(Load(db));
    reload_ = false;
  }
  return absl::OkStatus();
}

absl::Duration Coordinator::Tick(Database& db) {
  auto attempt = [&](const char* what, absl::Status (Coordinator::*step)(Database&)) {
    if (!db.in_transaction()) {
      return;  // the step before lost it, as on a full disk
    }
    const absl::Status status =
        db.InSavepoint([&](Database& db) { return AsStep([&] { return (this->*step)(db); }); });
    if (!status.ok()) {
      spdlog::error("{}: {}", what, std::string(status.message()));
      reload_ = true;
    }
  };
  attempt("ending leases", &Coordinator::ExpireLeases);
  attempt("releasing retries", &Coordinator::ReleaseRetries);
  if (db.in_transaction()) {
    const absl::Status written = WriteCounts(db);
    if (!written.ok()) {
      // Outcomes without their counts must not be committed.
      spdlog::error("counting: {}", std::string(written.message()));
      db.Run("ROLLBACK").IgnoreError();
    }
  }
  attempt("leasing to those who wait", &Coordinator::ServeWaiters);
  attempt("making jobs", &Coordinator::MakeJobsAhead);
  NotifyWatchers(db);

  absl::Duration next = clock_->Monotonic() + kLongestSleep;
  for (const auto& [id, lease] : leases_) {
    next = std::min(next, lease.deadline);
  }
  for (const auto& [number, waiter] : waiters_) {
    next = std::min(next, waiter.deadline);
  }
  if (work_may_be_ready_ && !waiters_.empty()) {
    next = clock_->Monotonic();
  }
  if (!retries_.empty()) {
    next = std::min(next, retries_.begin()->first);
  }
  if (!changed_.empty() && !watchers_.empty()) {
    next = std::min(next, watchers_told_ + absl::Milliseconds(250));
  }
  due_ = next;
  return next;
}

void Coordinator::Ended(const absl::Status& status) {
  remembered_.live_workers.reset();
  if (status.ok()) {
    committed_ = counters_;
  } else {
    reload_ = true;
    unwritten_ = Unwritten();
    counters_ = committed_;
    overviews_.clear();
    Forget();
  }
  std::vector<std::function<void(const absl::Status&)>> replies;
  replies.swap(after_commit_);
  for (const auto& reply : replies) {
    reply(status);
  }
}

void Coordinator::AfterCommit(std::function<void(const absl::Status&)> reply) {
  after_commit_.push_back(std::move(reply));
}

CoordinatorCounters Coordinator::counters() {
  CoordinatorCounters counters;
  writer_
      ->SubmitAndWait([&](Database&) {
        counters = counters_;
        return absl::OkStatus();
      })
      .IgnoreError();
  return counters;
}

template <typename T>
void Coordinator::Ask(std::function<absl::Status(Database&, T&)> question, Reply<T> reply,
                      Writer::Priority priority) {
  auto answer = std::make_shared<T>();
  writer_->Submit([this, question = std::move(question),
                   answer](Database& db) { return AsStep([&] { return question(db, *answer); }); },
                  [answer, reply = std::move(reply)](const absl::Status& status) {
                    status.ok() ? reply(std::move(*answer)) : reply(status);
                  },
                  priority);
}

void Coordinator::Figures(Reply<CoordinatorFigures> reply) {
  Ask<CoordinatorFigures>(
      [this](Database& db, CoordinatorFigures& figures) { return GatherFigures(db, figures); },
      std::move(reply));
}

void Coordinator::Submit(Campaign campaign, std::string request_id, Reply<std::string> reply) {
  Ask<std::string>(
      [this, campaign = std::move(campaign), request_id = std::move(request_id)](
          Database& db, std::string& id) -> absl::Status {
        ASSIGN_OR_RETURN(const bool added, AddCampaign(db, campaign, request_id,
                                                       absl::ToUnixMillis(clock_->Wall()), &id));
        if (added) {
          spdlog::info("campaign {} submitted", id);
          work_may_be_ready_ = true;
          Forget();
        }
        return absl::OkStatus();
      },
      std::move(reply));
}

void Coordinator::Control(std::string campaign, Command command, Reply<CampaignSnapshot> reply) {
  Ask<CampaignSnapshot>(
      [this, campaign = std::move(campaign), command](Database& db,
                                                      CampaignSnapshot& snapshot) -> absl::Status {
        RETURN_IF_ERROR(ApplyControl(db, campaign, command));
        Forget();
        ASSIGN_OR_RETURN(snapshot, Snapshot(db, campaign));
        return absl::OkStatus();
      },
      std::move(reply));
}

void Coordinator::GetCampaign(std::string campaign, Reply<CampaignSnapshot> reply) {
  Ask<CampaignSnapshot>(
      [this, campaign = std::move(campaign)](Database& db,
                                             CampaignSnapshot& snapshot) -> absl::Status {
        ASSIGN_OR_RETURN(snapshot, Snapshot(db, campaign));
        return absl::OkStatus();
      },
      std::move(reply), Writer::Priority::kPatient);
}

void Coordinator::ListCampaigns(int64_t before, int limit, Reply<Page> reply) {
  Ask<Page>(
      [this, before, limit](Database& db, Page& page) -> absl::Status {
        std::vector<std::pair<int64_t, std::string>> found;
        RETURN_IF_ERROR(db.ForEach(
            "SELECT ordinal, id FROM campaigns WHERE ? = 0 OR ordinal < ? ORDER BY ordinal DESC "
            "LIMIT ?",
            {before, before, limit + 1}, [&](const Row& row) {
              found.emplace_back(row.Int(0), row.Text(1));
              return absl::OkStatus();
            }));
        if (static_cast<int>(found.size()) > limit) {
          found.pop_back();
          page.next_before = found.back().first;
        }
        for (const auto& [ordinal, id] : found) {
          ASSIGN_OR_RETURN(CampaignSnapshot snapshot, Snapshot(db, id));
          page.campaigns.push_back(std::move(snapshot));
        }
        return absl::OkStatus();
      },
      std::move(reply), Writer::Priority::kPatient);
}

void Coordinator::ListWorkers(Reply<std::vector<WorkerSnapshot>> reply) {
  Ask<std::vector<WorkerSnapshot>>(
      [this](Database& db, std::vector<WorkerSnapshot>& workers) -> absl::Status {
        for (const auto& [id, worker] : workers_) {
          ASSIGN_OR_RETURN(const auto jobs,
                           db.QueryInt("SELECT count(*) FROM jobs WHERE lease IN (SELECT id FROM "
                                       "leases WHERE worker = ?)",
                                       {id}));
          workers.push_back({worker.identity, Live(worker), static_cast<int>(jobs.value_or(0)),
                             worker.quarantine});
        }
        return absl::OkStatus();
      },
      std::move(reply), Writer::Priority::kPatient);
}

int64_t Coordinator::Watch(std::string campaign, const Watcher& changed) {
  const int64_t number = next_number_++;
  auto added = std::make_shared<bool>(false);
  writer_->Submit(
      [this, number, campaign = std::move(campaign), changed, added](Database& db) {
        if (stopping_) {
          return absl::UnavailableError(kStopping);
        }
        CampaignSnapshot snapshot;
        RETURN_IF_ERROR(AsStep([&]() -> absl::Status {
          ASSIGN_OR_RETURN(snapshot, Snapshot(db, campaign));
          return absl::OkStatus();
        }));
        const bool ended = snapshot.ended();
        // What is told now was committed before, or is told again after the commit that follows.
        changed(std::move(snapshot));
        if (!ended) {
          watchers_[number] = {campaign, changed};
          *added = true;
        }
        return absl::OkStatus();
      },
      [this, number, changed, added](const absl::Status& status) {
        if (*added && !status.ok()) {
          watchers_.erase(number);
        }
        if (!status.ok()) {
          changed(status);
        }
      });
  return number;
}

void Coordinator::Unwatch(int64_t watcher) {
  writer_->Submit(
      [this, watcher](Database&) {
        watchers_.erase(watcher);
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
}

void Coordinator::Register(WorkerIdentity worker, std::vector<int64_t> kept,
                           Reply<Registration> reply) {
  Ask<Registration>(
      [this, worker = std::move(worker), kept = std::move(kept)](
          Database& db, Registration& registration) -> absl::Status {
        RETURN_IF_ERROR(ApplyRegister(db, worker, kept));
        registration = {options_.lease, RetryWindow(LiveWorkers()), store_};
        return absl::OkStatus();
      },
      std::move(reply));
}

int64_t Coordinator::ListenForEnds(std::string worker, LeaseListener ended) {
  const int64_t number = next_number_++;
  writer_->Submit(
      [this, number, worker = std::move(worker), ended = std::move(ended)](Database&) {
        listeners_[number] = {worker, ended};
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
  return number;
}

void Coordinator::StopListening(int64_t listener) {
  writer_->Submit(
      [this, listener](Database&) {
        listeners_.erase(listener);
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
}

int64_t Coordinator::Lease(std::string worker, int64_t request_number, absl::Duration wait,
                           const LeaseReply& reply) {
  const int64_t number = next_number_++;
  auto grant = std::make_shared<std::unique_ptr<LeaseGrant>>();
  auto waits = std::make_shared<bool>(false);
  writer_->Submit(
      [this, number, worker = std::move(worker), request_number, wait, reply, grant,
       waits](Database& db) {
        if (stopping_) {
          return absl::UnavailableError(kStopping);
        }
        RETURN_IF_ERROR(AsStep([&]() -> absl::Status {
          ASSIGN_OR_RETURN(*grant, TryLease(db, worker, request_number));
          return absl::OkStatus();
        }));
        if (*grant == nullptr && request_number > workers_[worker].closed_request) {
          *waits = true;
          waiters_[number] = {worker, request_number, clock_->Monotonic() + wait, reply};
        }
        return absl::OkStatus();
      },
      [reply, grant, waits](const absl::Status& status) {
        if (!*waits) {
          status.ok() ? reply(std::move(*grant)) : reply(status);
        }
      },
      Writer::Priority::kImmediate);
  return number;
}

void Coordinator::CloseRequest(std::string worker, std::string instance, int64_t request_number,
                               LeaseReply reply) {
  auto grant = std::make_shared<std::unique_ptr<LeaseGrant>>();
  writer_->Submit(
      [this, worker = std::move(worker), instance = std::move(instance), request_number,
       grant](Database& db) -> absl::Status {
        ASSIGN_OR_RETURN(WorkerState * known, Known(worker));
        if (known->identity.instance != instance) {
          return absl::OkStatus();  // a new process has the name, and numbers anew
        }
        ASSIGN_OR_RETURN(*grant, RepeatLease(db, worker, request_number));
        known->closed_request = std::max(known->closed_request, request_number);
        for (auto it = waiters_.begin(); it != waiters_.end();) {
          if (it->second.worker != worker || it->second.request_number > request_number) {
            ++it;
            continue;
          }
          AfterCommit([reply = std::move(it->second.reply)](const absl::Status& status) {
            status.ok() ? reply(nullptr) : reply(status);
          });
          it = waiters_.erase(it);
        }
        return absl::OkStatus();
      },
      [reply = std::move(reply), grant](const absl::Status& status) {
        status.ok() ? reply(std::move(*grant)) : reply(status);
      },
      Writer::Priority::kImmediate);
}

void Coordinator::StopWaiting(int64_t waiter) {
  writer_->Submit(
      [this, waiter](Database&) {
        const auto found = waiters_.find(waiter);
        if (found != waiters_.end()) {
          AfterCommit([reply = std::move(found->second.reply)](const absl::Status&) {
            reply(absl::CancelledError("the worker went away"));
          });
          waiters_.erase(found);
        }
        return absl::OkStatus();
      },
      [](const absl::Status&) {}, Writer::Priority::kImmediate);
}

void Coordinator::Heartbeat(std::string worker, std::vector<int64_t> leases,
                            Reply<HeartbeatReply> reply) {
  Ask<HeartbeatReply>(
      [this, worker = std::move(worker), leases = std::move(leases)](
          Database& db, HeartbeatReply& answer) -> absl::Status {
        ASSIGN_OR_RETURN(WorkerState * known, Known(worker));
        const absl::Duration now = clock_->Monotonic();
        known->last_seen = now;
        answer.drain = !known->quarantine.empty();
        answer.retry_window = RetryWindow(LiveWorkers());
        for (const int64_t id : leases) {
          const auto lease = leases_.find(id);
          if (lease == leases_.end() || lease->second.worker != worker) {
            answer.ended_leases.push_back(id);
            RETURN_IF_ERROR(Exonerate(db, worker, id));
          } else {
            lease->second.deadline = now + options_.lease;
          }
        }
        return absl::OkStatus();
      },
      std::move(reply), Writer::Priority::kImmediate);
}

void Coordinator::Report(bitquake::Report report, std::function<void(absl::Status)> reply) {
  const std::string campaign = report.campaign;
  writer_->Submit([this, report = std::move(report)](
                      Database& db) { return AsStep([&] { return ApplyReport(db, report); }); },
                  [this, campaign, reply = std::move(reply)](const absl::Status& status) {
                    if (absl::IsDataLoss(status)) {
                      PauseDamaged(campaign, std::string(status.message()));
                    }
                    reply(status);
                  });
}

// Its outcomes wait with their workers until the store is mended; a person is told why.
void Coordinator::PauseDamaged(const std::string& campaign, const std::string& error) {
  writer_->Submit(
      [this, campaign, error](Database& db) {
        return AsStep([&] { return PauseWithError(db, campaign, error); });
      },
      [](const absl::Status&) {});
}

}  // namespace bitquake
