// The one writer: a thread that owns the read-write connection and gathers requests into
// transactions.
//
// A request is a function on the database. Requests that are waiting when a transaction starts
// share it, each in a savepoint of its own, so that a request that fails leaves no trace and harms
// no other. Replies are sent after the commit: commit, then acknowledge. An error for which SQLite
// gives up the whole transaction, as a full disk, is the reply to all that shared it.
//
// A transaction takes immediate requests (leases and heartbeats, for which a worker stands still)
// for a few milliseconds, then urgent ones (outcomes), then patient ones (what people look at), at
// least one of each kind that waits. So a queue of outcomes keeps no lease waiting, no burst makes
// those at its head wait for its end, and no kind waits for ever.
//
// The thread also writes the WAL back, after the replies of a transaction, so that the WAL holds
// little more than the 4 MiB written since. While a reader needs more it grows, at most to what
// Snapshot allows and those 4 MiB.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "prometheus/client_metric.h"
#include "prometheus/histogram.h"
#include "server/store/database.h"

namespace bitquake {

// Called on the writer's thread.
struct WriterHooks {
  // In every transaction, before its requests. If it fails, so does the transaction.
  std::function<absl::Status(Database&)> begin = [](Database&) { return absl::OkStatus(); };
  // In every transaction, after its requests. Returns when (on the clock's monotonic time) it wants
  // to be called again at the latest.
  std::function<absl::Duration(Database&)> tick;
  // After the transaction: OK if it is on disk; else all of it was rolled back.
  std::function<void(const absl::Status&)> ended;
};

// Thread-safe.
class Writer {
 public:
  using Request = std::function<absl::Status(Database&)>;
  // The request's own error, else the commit's.
  using Reply = std::function<void(const absl::Status&)>;

  // `clock` must outlive the writer.
  Writer(Database db, const Clock* clock, WriterHooks hooks);
  ~Writer();  // Stop()

  enum class Priority { kImmediate, kUrgent, kPatient };

  // The reply is called once, on the writer's thread. After Stop it is Unavailable. Requests of one
  // priority run in their order.
  void Submit(Request request, Reply reply, Priority priority = Priority::kUrgent);
  absl::Status SubmitAndWait(Request request);

  // Lets tick run now.
  void Wake();

  // Does what was submitted, then ends the thread and checkpoints the WAL.
  void Stop();

  // A histogram of what transactions took, from their begin until they were on disk, or failed.
  prometheus::ClientMetric commit_seconds() const { return commit_seconds_.Collect(); }
  // How the last transaction ended.
  absl::Status last_commit() const;

 private:
  struct Pending {
    Request request;
    Reply reply;
  };

  // A request that was run, and its own status.
  struct Answer {
    absl::Status status;
    Reply reply;
  };

  void Loop();
  void Transact();
  // In an open transaction; an error if it must be rolled back. The answers are those of the
  // requests that it took.
  absl::Status RunTogether(std::vector<Answer>& answers);
  absl::Status RunSome(Priority priority, std::vector<Answer>& answers);
  std::optional<Pending> Take(Priority priority);
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteBack();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Database db_;  // the thread's alone
  const Clock* const clock_;
  const WriterHooks hooks_;

  mutable absl::Mutex mutex_;
  std::array<std::deque<Pending>, 3> queues_ ABSL_GUARDED_BY(mutex_);  // by priority
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status last_commit_ ABSL_GUARDED_BY(mutex_);
  prometheus::Histogram commit_seconds_;
  // The thread's alone:
  absl::Duration next_tick_;
  int64_t written_back_ = 0;  // pages of the WAL, the last time
  absl::Duration next_truncate_ = -absl::InfiniteDuration();
  absl::Status write_back_status_;  // as logged
  std::thread thread_;
};

}  // namespace bitquake
