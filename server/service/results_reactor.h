// A campaign's results on their way to a client.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "bitquake/v1/campaign.pb.h"
#include "common/base/clock.h"
#include "server/scheduler/work.h"
#include "server/store/database.h"
#include "server/store/result_reader.h"
#include "server/store/snapshot.h"

namespace bitquake {

// Reads the store on a thread of its own, a batch ahead of the network. A client that takes too
// long gets the error of the snapshot that it read, which is let go of as soon as that has one.
// Deletes itself when the call has ended.
class ResultsReactor final : public grpc::ServerWriteReactor<v1::ResultBatch> {
 public:
  // `details`: also what the campaign kept of single images and heads. `place` is let go of when
  // the call has ended.
  ResultsReactor(std::string database, CampaignSnapshot snapshot, bool details,
                 std::shared_ptr<void> place = nullptr, SnapshotLimits limits = {});

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  absl::Status Read();
  void AwaitWritten();
  absl::Status SendCells(Database& db);
  absl::Status SendImages(Database& db);
  absl::Status SendAttention(Database& db);
  absl::Status SendFold(const StoredFold& fold);
  // Waits until it is written, or the snapshot must end.
  absl::Status Send(const v1::ResultBatch& batch);
  // Sends a batch of so many bytes and begins the next, if it is large enough.
  absl::Status SendIfFull(v1::ResultBatch& batch, size_t& bytes);

  const std::string database_;
  const CampaignSnapshot snapshot_;
  const bool details_;
  const std::shared_ptr<void> place_;
  const SnapshotLimits limits_;
  const SystemClock clock_;
  std::optional<Snapshot> view_;  // the thread's alone
  absl::Mutex mutex_;
  v1::ResultBatch message_;
  bool writing_ = false;
  bool broken_ = false;
  std::thread reader_;
};

}  // namespace bitquake
