// Reports on their way to the coordinator: kept until acknowledged, sent again over a new stream
// when one breaks, in the order of their sequence numbers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bitquake/v1/worker.grpc.pb.h"

namespace bitquake {

// Thread-safe.
class OutcomeStream {
 public:
  // `stub` must outlive the stream. `unknown_worker` is called (on this object's thread) when the
  // coordinator does not know the worker; it should register it again.
  OutcomeStream(v1::WorkerService::StubInterface* stub, std::string worker_id,
                std::function<void()> unknown_worker);
  ~OutcomeStream();  // Stop()

  void Send(v1::OutcomeReport report);

  // Waits until at most `most` reports are unacknowledged; false if that takes longer than
  // `patience`.
  bool AwaitUnacknowledged(size_t most, absl::Duration patience);

  size_t unacknowledged() const;

  // Ends the stream; what was not acknowledged is dropped.
  void Stop();

 private:
  using Stream = grpc::ClientReaderWriterInterface<v1::OutcomeReport, v1::OutcomeAck>;

  void Loop();
  // Sends over one stream until it breaks or Stop; returns how it ended.
  grpc::Status SendOverOneStream();
  void ReadAcknowledgements(Stream* stream);
  bool SomethingToSend() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  v1::WorkerService::StubInterface* const stub_;
  const std::string worker_id_;
  const std::function<void()> unknown_worker_;

  mutable absl::Mutex mutex_;
  std::map<int64_t, v1::OutcomeReport> unacknowledged_ ABSL_GUARDED_BY(mutex_);  // by sequence
  int64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;     // highest sequence sent over the present stream
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // the present stream is
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

}  // namespace bitquake
