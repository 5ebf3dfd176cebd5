// The one writer: a thread that owns the read-write connection and gathers requests into
// transactions.
//
// A request is a function on the database. Requests that are waiting when a transaction starts
// share it, each in a savepoint of its own, so that a request that fails leaves no trace and harms
// no other. Replies are sent after the commit: commit, then acknowledge. An error for which SQLite
// gives up the whole transaction, as a full disk, is the reply to all that shared it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
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

  // The reply is called once, on the writer's thread. After Stop it is Unavailable.
  void Submit(Request request, Reply reply);
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

  void Loop();
  void Transact(std::deque<Pending> batch);
  // In an open transaction; an error if it must be rolled back.
  absl::Status RunTogether(const std::deque<Pending>& batch, std::vector<absl::Status>& results);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Database db_;  // the thread's alone
  const Clock* const clock_;
  const WriterHooks hooks_;

  mutable absl::Mutex mutex_;
  std::deque<Pending> queue_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status last_commit_ ABSL_GUARDED_BY(mutex_);
  prometheus::Histogram commit_seconds_;
  absl::Duration next_tick_;  // the thread's alone
  std::thread thread_;
};

}  // namespace bitquake
