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

const prometheus::Histogram::BucketBoundaries kCommitSeconds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

// Of a transaction: no request of a kind begins after that time, or after so many.
struct Share {
  absl::Duration time;
  int most;
};
constexpr absl::Duration kWorkersTime = absl::Milliseconds(10);

Share ShareOf(Writer::Priority priority) {
  return priority == Writer::Priority::kPatient ? Share{kWorkersTime / 2, 64}
                                                : Share{kWorkersTime, 2048};
}

constexpr Writer::Priority kPriorities[] = {Writer::Priority::kImmediate, Writer::Priority::kUrgent,
                                            Writer::Priority::kPatient};

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
      queues_[static_cast<size_t>(priority)].push_back({std::move(request), std::move(reply)});
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

bool Writer::IsIdle() const {
  return std::all_of(queues_.begin(), queues_.end(),
                     [](const auto& queue) { return queue.empty(); });
}

bool Writer::HasWork() const { return !IsIdle() || stopping_ || woken_; }

void Writer::Loop() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      AwaitFor(mutex_, absl::Condition(this, &Writer::HasWork), next_tick_ - clock_->Monotonic());
      woken_ = false;
      if (IsIdle() && stopping_) {
        break;
      }
    }
    Transact();
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

std::optional<Writer::Pending> Writer::Take(Priority priority) {
  absl::MutexLock lock(&mutex_);
  auto& queue = queues_[static_cast<size_t>(priority)];
  if (queue.empty()) {
    return std::nullopt;
  }
  std::optional<Pending> first = std::move(queue.front());
  queue.pop_front();
  return first;
}

// A statement that finds the disk full may take the whole transaction with it. What follows would
// then commit by itself, and what came before must not be acknowledged.
absl::Status Writer::RunSome(Priority priority, std::vector<Answer>& answers) {
  const Share share = ShareOf(priority);
  const absl::Duration end = clock_->Monotonic() + share.time;
  for (int i = 0; i == 0 || (i < share.most && clock_->Monotonic() < end); ++i) {
    std::optional<Pending> pending = Take(priority);
    if (!pending.has_value()) {
      break;
    }
    answers.push_back({db_.InSavepoint(pending->request), std::move(pending->reply)});
    if (!db_.in_transaction()) {
      return answers.back().status;
    }
  }
  return absl::OkStatus();
}

absl::Status Writer::RunTogether(std::vector<Answer>& answers) {
  for (const Priority priority : kPriorities) {
    RETURN_IF_ERROR(RunSome(priority, answers));
  }
  next_tick_ = hooks_.tick(db_);
  return db_.in_transaction() ? absl::OkStatus()
                              : absl::UnavailableError(absl::StrCat(
                                    db_.path(), ": SQLite rolled the transaction back; try again"));
}

void Writer::Transact() {
  const absl::Duration start = clock_->Monotonic();
  absl::Status status = db_.Run("BEGIN IMMEDIATE");
  if (status.ok()) {
    status = hooks_.begin(db_);
  }
  std::vector<Answer> answers;
  if (status.ok()) {
    status = RunTogether(answers);
    if (status.ok()) {
      status = db_.Run("COMMIT");
    }
  } else {
    // Those who would have shared it are told.
    for (const Priority priority : kPriorities) {
      for (int i = 0; i < ShareOf(priority).most; ++i) {
        std::optional<Pending> pending = Take(priority);
        if (!pending.has_value()) {
          break;
        }
        answers.push_back({absl::OkStatus(), std::move(pending->reply)});
      }
    }
  }
  if (!status.ok()) {
    if (db_.in_transaction()) {
      db_.Run("ROLLBACK").IgnoreError();
    }
    spdlog::error("the store cannot commit: {}", std::string(status.message()));
    next_tick_ = clock_->Monotonic() + absl::Seconds(1);
  }
  commit_seconds_.Observe(absl::ToDoubleSeconds(clock_->Monotonic() - start));
  {
    absl::MutexLock lock(&mutex_);
    last_commit_ = status;
  }
  hooks_.ended(status);
  for (const Answer& answer : answers) {
    answer.reply(answer.status.ok() ? status : answer.status);
  }
}

}  // namespace bitquake
