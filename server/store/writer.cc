#include "server/store/writer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

constexpr size_t kMostRequestsTogether = 2048;
const prometheus::Histogram::BucketBoundaries kCommitSeconds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

}  // namespace

Writer::Writer(Database db, const Clock* clock, WriterHooks hooks)
    : db_(std::move(db)),
      clock_(clock),
      hooks_(std::move(hooks)),
      commit_seconds_(kCommitSeconds),
      next_tick_(clock->Monotonic()) {
  thread_ = std::thread([this] { Loop(); });
}

Writer::~Writer() { Stop(); }

void Writer::Submit(Request request, Reply reply) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      queue_.push_back({std::move(request), std::move(reply)});
      return;
    }
  }
  reply(absl::UnavailableError("the server is shutting down"));
}

absl::Status Writer::SubmitAndWait(Request request) {
  absl::Notification done;
  absl::Status result;
  Submit(std::move(request), [&](const absl::Status& status) {
    result = status;
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

void Writer::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

void Writer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

absl::Status Writer::last_commit() const {
  absl::MutexLock lock(&mutex_);
  return last_commit_;
}

bool Writer::HasWork() const { return !queue_.empty() || stopping_ || woken_; }

void Writer::Loop() {
  for (;;) {
    std::deque<Pending> batch;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(this, &Writer::HasWork),
                              std::max(absl::ZeroDuration(), next_tick_ - clock_->Monotonic()));
      woken_ = false;
      if (queue_.empty() && stopping_) {
        break;
      }
      const size_t count = std::min(queue_.size(), kMostRequestsTogether);
      for (size_t i = 0; i < count; ++i) {
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    Transact(std::move(batch));
  }
  const absl::Status checkpoint = db_.RunScript("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!checkpoint.ok()) {
    spdlog::warn("checkpoint at the end: {}", std::string(checkpoint.message()));
  }
}

absl::Status Writer::RunTogether(const std::deque<Pending>& batch,
                                 std::vector<absl::Status>& results) {
  // A statement that finds the disk full may take the whole transaction with it. What follows would
  // then commit by itself, and what came before must not be acknowledged.
  for (size_t i = 0; i < batch.size(); ++i) {
    results[i] = db_.InSavepoint(batch[i].request);
    if (!db_.in_transaction()) {
      return results[i];
    }
  }
  next_tick_ = hooks_.tick(db_);
  return db_.in_transaction() ? absl::OkStatus()
                              : absl::UnavailableError(absl::StrCat(
                                    db_.path(), ": SQLite rolled the transaction back; try again"));
}

void Writer::Transact(std::deque<Pending> batch) {
  const absl::Duration start = clock_->Monotonic();
  absl::Status status = db_.Run("BEGIN IMMEDIATE");
  std::vector<absl::Status> results(batch.size(), status);
  if (status.ok()) {
    status = RunTogether(batch, results);
    if (status.ok()) {
      status = db_.Run("COMMIT");
    }
    if (!status.ok() && db_.in_transaction()) {
      db_.Run("ROLLBACK").IgnoreError();
    }
  }
  if (!status.ok()) {
    spdlog::error("the store cannot commit: {}", std::string(status.message()));
    next_tick_ = clock_->Monotonic() + absl::Seconds(1);
  }
  commit_seconds_.Observe(absl::ToDoubleSeconds(clock_->Monotonic() - start));
  {
    absl::MutexLock lock(&mutex_);
    last_commit_ = status;
  }
  hooks_.ended(status);
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].reply(results[i].ok() ? status : results[i]);
  }
}

}  // namespace bitquake
