// The worker's life: register, lease, run, report, until told to stop.
//
// A lease in work is renewed by heartbeats from a thread of its own; a lease that has ended is left
// within a chunk. While the coordinator is away, the worker goes on with what it holds and keeps
// its reports.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bitquake/v1/worker.grpc.pb.h"
#include "worker/agent/lease_runner.h"
#include "worker/agent/outcome_stream.h"

namespace bitquake {

struct AgentOptions {
  std::string worker_id;    // kept over restarts, if whoever starts the worker gives one
  std::string device_kind;  // of its evaluators
  absl::Duration lease_wait = absl::Seconds(30);   // of a long poll
  absl::Duration drain_grace = absl::Seconds(20);  // for the last acknowledgements
};

class Agent {
 public:
  // `stub` and `workbench` must outlive the agent.
  Agent(v1::WorkerService::StubInterface* stub, Workbench* workbench, AgentOptions options);
  ~Agent();

  // Works until Drain. Errors: FailedPrecondition (the coordinator speaks another protocol),
  // PermissionDenied (quarantined, or not a worker's credentials), Unauthenticated (the coordinator
  // never let it in).
  absl::Status Run();

  // Leaves the work at hand within a chunk, hands it back, waits for acknowledgements, and lets Run
  // return. Thread-safe.
  void Drain();

  // Whether the coordinator knows this worker and gives it work. Thread-safe.
  absl::Status ready() const;
  // Reports that the coordinator has not acknowledged. Thread-safe.
  size_t unacknowledged() const { return outcomes_.unacknowledged(); }

 private:
  absl::Status Register();
  void HeartbeatLoop();
  void RunLease(const v1::Lease& lease);
  // Waits as the backoff says, or until Drain.
  void Pause(absl::Duration duration);
  // A context for one call that Drain can cancel.
  template <typename Call>
  grpc::Status Cancellable(absl::Duration deadline, Call call);

  v1::WorkerService::StubInterface* const stub_;
  Workbench* const workbench_;
  const AgentOptions options_;
  const std::string instance_;
  OutcomeStream outcomes_;

  mutable absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration lease_time_ ABSL_GUARDED_BY(mutex_);  // 0: not registered yet
  int64_t held_lease_ ABSL_GUARDED_BY(mutex_) = 0;     // 0: none
  absl::Status quarantined_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::atomic<bool> leave_{false};  // the lease in work: it has ended, or the agent drains
  std::thread heartbeats_;
};

}  // namespace bitquake
