#include "worker/agent/agent.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/backoff.h"
#include "common/base/build_info.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "common/channel/channel.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

// Reports kept for a coordinator that is away before the worker stops taking new leases.
constexpr size_t kMostUnacknowledged = 20'000;
constexpr absl::Duration kCallTime = absl::Seconds(10);

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(
        absl::StrCat(status.error_message(), "; ", UnavailableRemedy(status.error_message())));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

void SetDeadline(grpc::ClientContext& context, absl::Duration time) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(time));
}

}  // namespace

Agent::Agent(v1::WorkerService::StubInterface* stub, Workbench* workbench, AgentOptions options)
    : stub_(stub),
      workbench_(workbench),
      options_(std::move(options)),
      instance_(RandomHex()),
      outcomes_(stub, options_.worker_id, [this] { Register().IgnoreError(); }) {}

Agent::~Agent() {
  Drain();
  outcomes_.Stop();  // its thread calls Register
  if (heartbeats_.joinable()) {
    heartbeats_.join();
  }
}

void Agent::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  leave_ = true;
  if (call_ != nullptr) {
    call_->TryCancel();
  }
}

absl::Status Agent::ready() const {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return quarantined_.ok() ? absl::UnavailableError("this worker drains") : quarantined_;
  }
  return lease_time_ > absl::ZeroDuration()
             ? absl::OkStatus()
             : absl::UnavailableError("the coordinator does not know this worker yet");
}

void Agent::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&draining_), duration);
}

template <typename Call>
grpc::Status Agent::Cancellable(absl::Duration deadline, Call call) {
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  {
    absl::MutexLock lock(&mutex_);
    if (draining_) {
      return grpc::Status::CANCELLED;
    }
    call_ = &context;
  }
  const grpc::Status status = call(&context);
  absl::MutexLock lock(&mutex_);
  call_ = nullptr;
  return status;
}

absl::Status Agent::Register() {
  v1::RegisterRequest request;
  request.set_protocol_version(kProtocolVersion);
  request.set_worker_id(options_.worker_id);
  request.set_instance(instance_);
  request.set_host(HostName());
  request.set_version(kVersion);
  request.set_device_kind(options_.device_kind);
  v1::RegisterResponse response;
  grpc::ClientContext context;
  SetDeadline(context, kCallTime);
  RETURN_IF_ERROR(FromGrpc(stub_->Register(&context, request, &response)));
  absl::MutexLock lock(&mutex_);
  lease_time_ = absl::Seconds(response.lease_seconds());
  return absl::OkStatus();
}

absl::Status Agent::Run() {
  Backoff backoff({}, RandomNumber());
  heartbeats_ = std::thread([this] { HeartbeatLoop(); });
  bool registered = false;
  int64_t request_number = 0;
  auto drained = [this] {
    absl::MutexLock lock(&mutex_);
    return draining_;
  };
  while (!drained()) {
    absl::Status status = registered ? absl::OkStatus() : Register();
    registered = status.ok();
    v1::LeaseJobsResponse response;
    if (registered) {
      outcomes_.AwaitUnacknowledged(kMostUnacknowledged, absl::InfiniteDuration());
      v1::LeaseJobsRequest request;
      request.set_worker_id(options_.worker_id);
      // A call whose answer was lost is repeated under its number and gets the same lease.
      request.set_request_number(request_number);
      request.set_wait_seconds(absl::ToDoubleSeconds(options_.lease_wait));
      status =
          FromGrpc(Cancellable(options_.lease_wait + kCallTime, [&](grpc::ClientContext* context) {
            return stub_->LeaseJobs(context, request, &response);
          }));
    }
    if (drained()) {
      break;
    }
    if (status.ok()) {
      backoff.Reset();
      ++request_number;
      if (response.has_lease()) {
        RunLease(response.lease());
      }
      continue;
    }
    // A worker that was let in before waits for credentials that are renewed.
    const bool unknown = absl::IsUnauthenticated(status) && request_number == 0;
    if (absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status) || unknown) {
      return status;
    }
    registered = registered && !absl::IsNotFound(status);
    spdlog::warn("coordinator: {}; trying again", std::string(status.message()));
    Pause(backoff.Next());
  }
  if (!outcomes_.AwaitUnacknowledged(0, options_.drain_grace)) {
    spdlog::warn("the coordinator did not acknowledge everything in time; it will be done again");
  }
  absl::MutexLock lock(&mutex_);
  return quarantined_;
}

void Agent::RunLease(const v1::Lease& lease) {
  {
    absl::MutexLock lock(&mutex_);
    held_lease_ = lease.lease_id();
    leave_ = draining_;
  }
  LeaseRunner runner(workbench_);
  runner.Run(
      lease, [this] { return leave_.load(); },
      [this](v1::OutcomeReport report) { outcomes_.Send(std::move(report)); });
  absl::MutexLock lock(&mutex_);
  held_lease_ = 0;
  if (draining_) {
    // Hand back what was not done.
    v1::OutcomeReport end;
    end.set_lease_id(lease.lease_id());
    end.set_campaign_id(lease.campaign().campaign_id());
    end.mutable_lease_end();
    outcomes_.Send(std::move(end));
  }
}

void Agent::HeartbeatLoop() {
  {
    // Only the coordinator knows how long its leases last.
    absl::MutexLock lock(&mutex_);
    auto registered = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return lease_time_ > absl::ZeroDuration() || draining_;
    };
    mutex_.Await(absl::Condition(&registered));
  }
  for (;;) {
    v1::HeartbeatRequest request;
    request.set_worker_id(options_.worker_id);
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&draining_), lease_time_ / 3);
      if (draining_) {
        return;
      }
      if (held_lease_ != 0) {
        request.add_lease_ids(held_lease_);
      }
    }
    v1::HeartbeatResponse response;
    grpc::ClientContext context;
    SetDeadline(context, kCallTime);
    const absl::Status status = FromGrpc(stub_->Heartbeat(&context, request, &response));
    if (absl::IsNotFound(status)) {
      Register().IgnoreError();
      continue;
    }
    if (!status.ok()) {
      spdlog::warn("heartbeat: {}", std::string(status.message()));
      continue;
    }
    absl::MutexLock lock(&mutex_);
    for (const int64_t ended : response.ended_lease_ids()) {
      if (ended == held_lease_) {
        spdlog::info("lease {} has ended", ended);
        leave_ = true;
      }
    }
    if (response.desired_state() == v1::HeartbeatResponse::DESIRED_STATE_DRAIN) {
      quarantined_ = absl::PermissionDeniedError("the coordinator has quarantined this worker");
      draining_ = true;
      leave_ = true;
      if (call_ != nullptr) {
        call_->TryCancel();
      }
    }
  }
}

}  // namespace bitquake
