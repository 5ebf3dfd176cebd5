#include "server/store/writer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

constexpr size_t kMostRequestsTogether = 2048;

absl::Status RolledBack() {
  return absl::UnavailableError("the store rolled the transaction back; try again");
}

// Where the transaction is gone afterwards, the error is that of the whole.
absl::Status InSavepoint(Database& db, const Writer::Request& request) {
  RETURN_IF_ERROR(db.Run("SAVEPOINT request"));
  const absl::Status status = request(db);
  if (!db.in_transaction()) {
    return status.ok() ? RolledBack() : status;
  }
  if (!status.ok()) {
    RETURN_IF_ERROR(db.Run("ROLLBACK TO request"));
  }
  RETURN_IF_ERROR(db.Run("RELEASE request"));
  return status;
}

}  // namespace

Writer::Writer(Database db, const Clock* clock, WriterHooks hooks)
    : db_(std::move(db)), clock_(clock), hooks_(std::move(hooks)), next_tick_(clock->Monotonic()) {
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

Writer::Statistics Writer::statistics() const {
  absl::MutexLock lock(&mutex_);
  return statistics_;
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

void Writer::Transact(std::deque<Pending> batch) {
  const absl::Duration start = clock_->Monotonic();
  absl::Status status = db_.Run("BEGIN IMMEDIATE");
  std::vector<absl::Status> results(batch.size(), status);
  if (status.ok()) {
    for (size_t i = 0; i < batch.size() && status.ok(); ++i) {
      results[i] = InSavepoint(db_, batch[i].request);
      if (!db_.in_transaction()) {
        // As when the disk is full. What came after would commit by itself, statement by statement.
        status = results[i];
      }
    }
    if (status.ok()) {
      next_tick_ = hooks_.tick(db_);
      status = db_.in_transaction() ? db_.Run("COMMIT") : RolledBack();
    }
    if (db_.in_transaction()) {
      db_.Run("ROLLBACK").IgnoreError();
    }
  }
  if (!status.ok()) {
    spdlog::error("the store cannot commit: {}", std::string(status.message()));
    next_tick_ = clock_->Monotonic() + absl::Seconds(1);
  }
  {
    absl::MutexLock lock(&mutex_);
    ++statistics_.commits;
    statistics_.last_commit_seconds = absl::ToDoubleSeconds(clock_->Monotonic() - start);
    statistics_.commit_seconds += statistics_.last_commit_seconds;
  }
  hooks_.ended(status);
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].reply(results[i].ok() ? status : results[i]);
  }
}

}  // namespace bitquake
