#include "server/service/results_reactor.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/service/translate.h"
#include "server/store/check.h"

namespace bitquake {

ResultsReactor::ResultsReactor(std::string database, CampaignSnapshot snapshot, bool details,
                               std::shared_ptr<void> place, SnapshotLimits limits)
    : database_(std::move(database)),
      snapshot_(std::move(snapshot)),
      details_(details),
      place_(std::move(place)),
      limits_(limits) {
  try {
    reader_ = std::thread([this] {
      const absl::Status status = Read();
      view_.reset();
      AwaitWritten();
      Finish(ToGrpc(status));
    });
  } catch (const std::system_error& error) {
    Finish(ToGrpc(absl::UnavailableError(absl::StrCat("no thread to read with: ", error.what()))));
  }
}

void ResultsReactor::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  broken_ = broken_ || !ok;
}

void ResultsReactor::OnDone() {
  if (reader_.joinable()) {
    reader_.join();
  }
  delete this;
}

absl::Status ResultsReactor::Send(const v1::ResultBatch& batch) {
  {
    absl::MutexLock lock(&mutex_);
    message_ = batch;
    writing_ = true;
  }
  StartWrite(&message_);
  constexpr absl::Duration kBetweenLooks = absl::Seconds(1);
  absl::MutexLock lock(&mutex_);
  const absl::Condition written(
      +[](bool* writing) { return !*writing; }, &writing_);
  while (!mutex_.AwaitWithTimeout(written, kBetweenLooks)) {
    RETURN_IF_ERROR(view_->Check());
  }
  return broken_ ? absl::CancelledError("the reader went away") : absl::OkStatus();
}

void ResultsReactor::AwaitWritten() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](bool* writing) { return !*writing; }, &writing_));
}

absl::Status ResultsReactor::SendIfFull(v1::ResultBatch& batch, size_t& bytes) {
  constexpr size_t kBatchBytes = 256 << 10;
  if (bytes < kBatchBytes) {
    return absl::OkStatus();
  }
  bytes = 0;
  const absl::Status sent = Send(batch);
  batch.Clear();
  return sent;
}

absl::Status ResultsReactor::Read() {
  // One snapshot of the store for all of it.
  ASSIGN_OR_RETURN(view_, Snapshot::Open(database_, &clock_, limits_));
  Database& db = view_->db();
  RETURN_IF_ERROR(CheckMeasured(db, snapshot_.id));
  ASSIGN_OR_RETURN(const StoredCampaign campaign, ReadCampaign(db, snapshot_.id));
  v1::ResultBatch batch;
  *batch.mutable_info() = ToProto(campaign);
  *batch.mutable_info()->mutable_status() = ToProto(snapshot_);
  RETURN_IF_ERROR(Send(batch));
  RETURN_IF_ERROR(SendCells(db));
  if (!details_) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(SendImages(db));
  return SendAttention(db);
}

absl::Status ResultsReactor::SendCells(Database& db) {
  v1::ResultBatch batch;
  size_t bytes = 0;
  RETURN_IF_ERROR(ReadCells(db, snapshot_.id, [&](const CellResult& cell) {
    v1::CellResult message = ToProto(cell);
    bytes += message.ByteSizeLong();
    *batch.mutable_cells()->add_cells() = std::move(message);
    return SendIfFull(batch, bytes);
  }));
  return bytes == 0 ? absl::OkStatus() : Send(batch);
}

absl::Status ResultsReactor::SendImages(Database& db) {
  v1::ResultBatch batch;
  size_t bytes = 0;
  RETURN_IF_ERROR(ReadImages(
      db, snapshot_.id, [&](const StoredFold& fold) { return SendFold(fold); },
      [&](const StoredFoldOutcome& outcome) {
        v1::FoldOutcome message = ToProto(outcome);
        bytes += message.ByteSizeLong();
        *batch.mutable_images()->add_outcomes() = std::move(message);
        return SendIfFull(batch, bytes);
      }));
  return bytes == 0 ? absl::OkStatus() : Send(batch);
}

absl::Status ResultsReactor::SendAttention(Database& db) {
  v1::ResultBatch batch;
  size_t bytes = 0;
  RETURN_IF_ERROR(ReadAttention(db, snapshot_.id, [&](const StoredAttention& stored) {
    v1::TrialHeads message = ToProto(stored);
    bytes += message.ByteSizeLong();
    *batch.mutable_attention()->add_trials() = std::move(message);
    return SendIfFull(batch, bytes);
  }));
  return bytes == 0 ? absl::OkStatus() : Send(batch);
}

// A fold may be the whole data set: its images go in parts.
absl::Status ResultsReactor::SendFold(const StoredFold& fold) {
  constexpr size_t kImagesTogether = 32 << 10;
  for (size_t first = 0; first < fold.images.size(); first += kImagesTogether) {
    v1::ResultBatch batch;
    v1::FoldImages* part = batch.mutable_fold();
    part->set_fold(fold.fold);
    const size_t end = std::min(first + kImagesTogether, fold.images.size());
    part->mutable_images()->Add(fold.images.begin() + first, fold.images.begin() + end);
    part->mutable_labels()->Add(fold.labels.begin() + first, fold.labels.begin() + end);
    RETURN_IF_ERROR(Send(batch));
  }
  return absl::OkStatus();
}

}  // namespace bitquake
