// A worker that speaks the whole protocol and computes nothing: it registers, leases by long poll,
// renews its leases, streams outcomes and waits for their acknowledgements. Its outcomes are made
// up, yet consistent: the coordinator finds nothing wrong with them.
//
// All of it is driven by gRPC's callbacks, so that one process holds a thousand.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bitquake/v1/worker.grpc.pb.h"
#include "common/base/clock.h"
#include "common/model/snapshot.h"

namespace bitquake {

// What the workers of a process share and add up. Thread-safe.
class Tally {
 public:
  // Since the first trial was leased to anyone: what comes before is golden runs, for which most
  // workers wait.
  struct Figures {
    std::vector<float> lease_ms;   // from asking to having jobs, by workers that have had trials
    std::vector<float> report_ms;  // from sending an outcome to its acknowledgement
    int64_t outcomes = 0;          // of trials, acknowledged
    absl::Duration first_trial = absl::InfiniteDuration();
    absl::Duration last_begun = absl::InfiniteDuration();  // when the latest worker had its first
  };

  explicit Tally(const Clock* clock) : clock_(clock) {}

  absl::Duration now() const { return clock_->Monotonic(); }
  void LeasedFirstTrials();
  void LeasedAgain(absl::Duration asked);
  void Acknowledged(absl::Duration sent, bool trial);
  // The first of them is what the process says.
  void Failed(const std::string& what);

  // Until so many outcomes of trials, so long after the first trial, or a failure.
  void Await(int64_t outcomes, absl::Duration time);
  Figures figures() const;
  std::string error() const;

 private:
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  Figures figures_ ABSL_GUARDED_BY(mutex_);
  std::string error_ ABSL_GUARDED_BY(mutex_);
};

struct FakeWorkerOptions {
  std::string id;
  absl::Duration between_reports;  // zero: one after the other, as fast as they can be sent
  absl::Duration first_report;     // how much later the first one is, so that workers spread
};

class FakeWorker final : public grpc::ClientBidiReactor<v1::OutcomeReport, v1::OutcomeAck> {
 public:
  // `snapshot` and `tally` must outlive the worker.
  FakeWorker(const std::string& server, const ModelSnapshot* snapshot, Tally* tally,
             FakeWorkerOptions options);

  void Start();
  // Ends all calls; returns when none is left.
  void Stop();

  void OnWriteDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  // A unary call under way, or none.
  template <typename Request, typename Response>
  struct Call {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  using LeaseCall = Call<v1::LeaseJobsRequest, v1::LeaseJobsResponse>;
  using HeartbeatCall = Call<v1::HeartbeatRequest, v1::HeartbeatResponse>;
  struct Sent {
    absl::Duration at;
    bool trial = false;
  };

  void OpenStream();
  void Lease();
  void TakeLease(const v1::Lease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetHeartbeatAlarm();
  void Heartbeat();
  // Once for each lease: all of its reports are acknowledged.
  bool LeaseIsDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddReport(v1::OutcomeReport report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins and ends what Stop waits for.
  bool Begin();
  void End();

  const ModelSnapshot* const snapshot_;
  Tally* const tally_;
  const FakeWorkerOptions options_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;

  absl::Mutex mutex_;
  grpc::ClientContext stream_context_;
  v1::RegisterRequest registration_;
  v1::RegisterResponse registered_;
  std::unique_ptr<grpc::ClientContext> register_context_;
  std::unique_ptr<LeaseCall> lease_call_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<HeartbeatCall> heartbeat_call_ ABSL_GUARDED_BY(mutex_);
  grpc::Alarm heartbeat_alarm_;
  grpc::Alarm report_alarm_;

  int64_t request_number_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration asked_ ABSL_GUARDED_BY(mutex_);
  int64_t lease_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<v1::OutcomeReport> reports_ ABSL_GUARDED_BY(mutex_);  // of the lease, to be sent
  std::map<int64_t, Sent> unacknowledged_ ABSL_GUARDED_BY(mutex_);
  int64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration next_report_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;  // it has had trials
  bool streaming_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool alarmed_ ABSL_GUARDED_BY(mutex_) = false;
  v1::OutcomeReport written_;
  v1::OutcomeAck ack_;
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bitquake
