// Reports on their way to the coordinator: in the spool until acknowledged, sent again over a new
// stream when one breaks, in the order of their sequence numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bitquake/v1/worker.grpc.pb.h"
#include "worker/agent/spool.h"

namespace bitquake {

// Called on the stream's threads.
struct OutcomeStreamHooks {
  // The coordinator does not know the worker; it should register again, and Claim.
  std::function<void()> unknown_worker = [] {};
  // A lease has ended otherwise than by this worker's word.
  std::function<void(int64_t lease)> lease_ended = [](int64_t) {};
};

// Thread-safe.
class OutcomeStream {
 public:
  // `stub` must outlive the stream. Nothing is sent before Claim.
  OutcomeStream(v1::WorkerService::StubInterface* stub, std::unique_ptr<Spool> spool,
                OutcomeStreamHooks hooks);
  ~OutcomeStream();  // Stop()

  // Reports are of `owner` from now on, and are sent: those that an earlier process left first.
  // Leases that it left open end as lost. Errors: Spool::Claim's; then nothing is sent any more.
  absl::Status Claim(const SpoolOwner& owner);

  // Returns when the report is in the spool. Where that cannot be written, it is kept in memory
  // alone, and there is no room until it was acknowledged.
  void Send(v1::OutcomeReport report);

  // Waits until there is room for the reports of another lease; false if Hurry was called.
  bool AwaitRoom();
  // Ends every AwaitRoom, now and later.
  void Hurry();

  // Waits until at most `most` reports are unacknowledged; false if that takes longer than
  // `patience`.
  bool AwaitUnacknowledged(size_t most, absl::Duration patience);

  size_t unacknowledged() const;
  int64_t corrupt_records() const;
  // Those of unacknowledged reports, of an earlier process's, too: to be renewed.
  std::set<int64_t> leases() const;

  // Who loses the coordinator waits a random part of this beyond the backoff.
  void set_retry_window(absl::Duration window);

  // Ends the stream; what was not acknowledged stays in the spool.
  void Stop();

 private:
  using Stream = grpc::ClientReaderWriterInterface<v1::OutcomeReport, v1::OutcomeAck>;

  void Recover() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(v1::OutcomeReport report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();
  // Sends over one stream until it breaks or Stop; returns how it ended.
  grpc::Status SendOverOneStream();
  void ReadAcknowledgements(Stream* stream);
  // The report that follows the last one sent; null if there is none yet.
  const v1::OutcomeReport* NextToSend() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SomethingToSend() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  v1::WorkerService::StubInterface* const stub_;
  const OutcomeStreamHooks hooks_;

  mutable absl::Mutex mutex_;
  const std::unique_ptr<Spool> spool_ ABSL_PT_GUARDED_BY(mutex_);
  std::string worker_id_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, v1::OutcomeReport> unacknowledged_ ABSL_GUARDED_BY(mutex_);  // by sequence
  // What the worker said last that it works on. A new stream's coordinator may have forgotten it,
  // and is reminded, in its place among the reports.
  std::optional<v1::OutcomeReport> at_work_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::OutcomeReport> reminder_ ABSL_GUARDED_BY(mutex_);  // of the present stream
  int64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;  // highest sequence sent over the present stream
  absl::Duration retry_window_ ABSL_GUARDED_BY(mutex_);
  bool claimed_ ABSL_GUARDED_BY(mutex_) = false;
  bool recovered_ ABSL_GUARDED_BY(mutex_) = false;
  bool unspooled_ ABSL_GUARDED_BY(mutex_) = false;  // some report is in memory alone
  bool hurry_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;    // the present stream is
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;  // the coordinator has, over the present stream
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

}  // namespace bitquake
