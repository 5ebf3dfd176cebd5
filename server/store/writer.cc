#include "server/store/writer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/await.h"
#include "common/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

constexpr size_t kMostRequestsTogether = 2048;
const prometheus::Histogram::BucketBoundaries kCommitSeconds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

// Patient requests in a transaction: none begins after that time, or after so many.
constexpr absl::Duration kPatientTime = absl::Milliseconds(5);
constexpr int kMostPatientTogether = 64;

constexpr int64_t kPagesBetweenWriteBacks = 1000;
constexpr int64_t kMostWalPages = (64 << 20) / 4096;  // above it the WAL is emptied when it can be
constexpr absl::Duration kBetweenTruncations = absl::Seconds(1);

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

void Writer::Submit(Request request, Reply reply, Priority priority) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      auto& queue = priority == Priority::kUrgent ? urgent_ : patient_;
      queue.push_back({std::move(request), std::move(reply)});
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

bool Writer::HasWork() const {
  return !urgent_.empty() || !patient_.empty() || stopping_ || woken_;
}

void Writer::Loop() {
  for (;;) {
    std::deque<Pending> batch;
    {
      absl::MutexLock lock(&mutex_);
      AwaitFor(mutex_, absl::Condition(this, &Writer::HasWork), next_tick_ - clock_->Monotonic());
      woken_ = false;
      if (urgent_.empty() && patient_.empty() && stopping_) {
        break;
      }
      const size_t count = std::min(urgent_.size(), kMostRequestsTogether);
      for (size_t i = 0; i < count; ++i) {
        batch.push_back(std::move(urgent_.front()));
        urgent_.pop_front();
      }
    }
    Transact(std::move(batch));
    WriteBack();
  }
  const absl::Status checkpoint = db_.Checkpoint(Database::CheckpointMode::kTruncate);
  if (!checkpoint.ok()) {
    spdlog::warn("checkpoint at the end: {}", std::string(checkpoint.message()));
  }
}

// A reader may hold some of the WAL: then it is tried again. What cannot be written back, as to a
// full disk, stays in the WAL, where it is as safe.
void Writer::WriteBack() {
  const int64_t pages = db_.wal_pages();
  if (pages < written_back_) {
    written_back_ = 0;  // the WAL began anew
  }
  absl::Status status = write_back_status_;
  if (pages - written_back_ >= kPagesBetweenWriteBacks) {
    written_back_ = pages;
    status = db_.Checkpoint(Database::CheckpointMode::kPassive);
  }
  const absl::Duration now = clock_->Monotonic();
  if (pages > kMostWalPages && now >= next_truncate_) {
    next_truncate_ = now + kBetweenTruncations;
    const absl::Status emptied = db_.Checkpoint(Database::CheckpointMode::kTruncate);
    if (emptied.ok()) {
      written_back_ = 0;
      status = emptied;
    }
  }
  if (db_.wal_pages() > kMostWalPages) {
    next_tick_ = std::min(next_tick_, next_truncate_);
  }
  if (status != write_back_status_) {
    write_back_status_ = status;
    if (!status.ok()) {
      spdlog::warn("the WAL cannot be written back: {}", std::string(status.message()));
    }
  }
}

std::optional<Writer::Pending> Writer::TakePatient() {
  absl::MutexLock lock(&mutex_);
  if (patient_.empty()) {
    return std::nullopt;
  }
  std::optional<Pending> first = std::move(patient_.front());
  patient_.pop_front();
  return first;
}

// A statement that finds the disk full may take the whole transaction with it. What follows would
// then commit by itself, and what came before must not be acknowledged.
absl::Status Writer::RunOne(const Pending& pending, std::vector<absl::Status>& results) {
  results.push_back(db_.InSavepoint(pending.request));
  return db_.in_transaction() ? absl::OkStatus() : results.back();
}

absl::Status Writer::RunTogether(std::deque<Pending>& batch, std::vector<absl::Status>& results) {
  for (const Pending& pending : batch) {
    RETURN_IF_ERROR(RunOne(pending, results));
  }
  const absl::Duration patient_end = clock_->Monotonic() + kPatientTime;
  for (int i = 0; i == 0 || (i < kMostPatientTogether && clock_->Monotonic() < patient_end); ++i) {
    std::optional<Pending> patient = TakePatient();
    if (!patient.has_value()) {
      break;
    }
    batch.push_back(*std::move(patient));
    RETURN_IF_ERROR(RunOne(batch.back(), results));
  }
  next_tick_ = hooks_.tick(db_);
  return db_.in_transaction() ? absl::OkStatus()
                              : absl::UnavailableError(absl::StrCat(
                                    db_.path(), ": SQLite rolled the transaction back; try again"));
}

void Writer::Transact(std::deque<Pending> batch) {
  const absl::Duration start = clock_->Monotonic();
  absl::Status status = db_.Run("BEGIN IMMEDIATE");
  std::vector<absl::Status> results;  // of the batch, as far as it ran
  if (status.ok()) {
    status = RunTogether(batch, results);
    if (status.ok()) {
      status = db_.Run("COMMIT");
    }
    if (!status.ok() && db_.in_transaction()) {
      db_.Run("ROLLBACK").IgnoreError();
    }
  } else if (batch.empty()) {
    if (std::optional<Pending> patient = TakePatient(); patient.has_value()) {
      batch.push_back(*std::move(patient));  // to be told
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
    const bool has_own_error = i < results.size() && !results[i].ok();
    batch[i].reply(has_own_error ? results[i] : status);
  }
}

}  // namespace bitquake
