// The worker's life: register, lease, run, report, until told to stop.
//
// Leases are renewed by heartbeats, from a thread of its own, until their end is acknowledged; a
// lease that has ended otherwise is left within a chunk. While the coordinator is away, the worker
// goes on with what it holds and keeps its reports in the spool, which outlives the process.
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
#include "worker/agent/spool.h"

namespace bitquake {

struct AgentOptions {
  std::string worker_id;    // kept over restarts, by the spool or by whoever starts the worker
  std::string device_kind;  // of its evaluators
  absl::Duration lease_wait = absl::Seconds(30);  // of a long poll
  absl::Duration grace = absl::Seconds(30);       // from Drain to Run's return
};

class Agent {
 public:
  // `stub` and `workbench` must outlive the agent.
  Agent(v1::WorkerService::StubInterface* stub, Workbench* workbench, std::unique_ptr<Spool> spool,
        AgentOptions options);
  ~Agent();

  // Works until Drain. Errors: FailedPrecondition (the coordinator speaks another protocol, or the
  // spool holds reports for another store), InvalidArgument (its id cannot be one),
  // PermissionDenied (quarantined, or not a worker's credentials), Unauthenticated (the coordinator
  // never let it in), Aborted (the device is lost; a new process may find it again).
  absl::Status Run();

  // Takes no new lease, ends the jobs at work, hands back the others, waits for acknowledgements
  // and lets Run return, in the grace time: what is not acknowledged then stays in the spool. Jobs
  // that take more than half of the time are handed back, too. Thread-safe.
  void Drain();

  // As Drain, and leaves the jobs at work within a chunk; they are handed back now. Thread-safe.
  void HandBack();

  // Whether the coordinator knows this worker and gives it work. Thread-safe.
  absl::Status ready() const;
  // Of reports. Thread-safe.
  const OutcomeStream& outcomes() const { return outcomes_; }

 private:
  absl::Status Register();
  // What it asks the coordinator for.
  struct Wish {
    bool registered = false;
    int64_t number = 0;
    bool asked = false;  // and not answered yet
  };
  // Registers if need be, waits for room, and leases; the status of what failed.
  absl::Status LeaseOnce(Wish& wish, v1::LeaseJobsResponse* response);
  // Hands back the lease that the wish may have been granted without this worker's hearing of it.
  void Close(const Wish& wish, absl::Duration patience);
  void HeartbeatLoop();
  void Heartbeat();
  void RunLease(const v1::Lease& lease);
  // The lease in work, if it is this one, has ended.
  void LeaseEnded(int64_t lease);
  void StopWith(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits, or until Drain.
  void Pause(absl::Duration duration);
  bool draining() const;
  // Makes a call that Drain can cancel, or that is part of draining and HandBack can cancel.
  template <typename Call>
  grpc::Status Cancellable(absl::Duration deadline, Call call, bool drains = false);

  v1::WorkerService::StubInterface* const stub_;
  Workbench* const workbench_;
  const AgentOptions options_;
  const std::string instance_;

  mutable absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;         // Run has returned, or never began
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;       // the spool, which then sends nothing
  absl::Duration deadline_ ABSL_GUARDED_BY(mutex_);    // of the drain, in monotonic time
  absl::Duration lease_time_ ABSL_GUARDED_BY(mutex_);  // 0: not registered yet
  absl::Duration retry_window_ ABSL_GUARDED_BY(mutex_);
  v1::Lease held_ ABSL_GUARDED_BY(mutex_);          // in work; lease_id 0: none
  absl::Status ends_with_ ABSL_GUARDED_BY(mutex_);  // what Run returns
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
  grpc::ClientContext* heartbeat_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::atomic<bool> leave_{false};  // the lease in work: within a chunk

  OutcomeStream outcomes_;  // its threads use the above
  std::thread heartbeats_;
};

}  // namespace bitquake
