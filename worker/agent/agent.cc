#include "worker/agent/agent.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/await.h"
#include "common/base/backoff.h"
#include "common/base/build_info.h"
#include "common/base/clock.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "common/channel/channel.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

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

v1::OutcomeReport ReportOf(const v1::Lease& lease) {
  v1::OutcomeReport report;
  report.set_lease_id(lease.lease_id());
  report.set_campaign_id(lease.campaign().campaign_id());
  return report;
}

v1::OutcomeReport EndOf(const v1::Lease& lease) {
  v1::OutcomeReport end = ReportOf(lease);
  end.mutable_lease_end();
  return end;
}

}  // namespace

Agent::Agent(v1::WorkerService::StubInterface* stub, Workbench* workbench,
             std::unique_ptr<Spool> spool, AgentOptions options)
    : stub_(stub),
      workbench_(workbench),
      options_(std::move(options)),
      instance_(RandomHex()),
      outcomes_(stub, std::move(spool),
                {[this] { Register().IgnoreError(); }, [this](int64_t id) { LeaseEnded(id); }}) {}

Agent::~Agent() {
  HandBack();
  outcomes_.Stop();  // its thread calls Register
  if (heartbeats_.joinable()) {
    heartbeats_.join();
  }
}

void Agent::Drain() {
  outcomes_.Hurry();
  absl::MutexLock lock(&mutex_);
  if (!draining_) {
    draining_ = true;
    deadline_ = SystemClock().Monotonic() + options_.grace;
  }
  if (call_ != nullptr) {
    call_->TryCancel();
  }
}

void Agent::HandBack() {
  Drain();
  absl::MutexLock lock(&mutex_);
  leave_ = true;
  if (held_.lease_id() != 0) {
    // What it still computes is welcome none the less, if nobody else has by then.
    spdlog::info("lease {} is handed back", held_.lease_id());
    outcomes_.Send(EndOf(held_));
    held_.Clear();
  }
}

void Agent::StopWith(absl::Status status) {
  outcomes_.Hurry();
  if (ends_with_.ok()) {
    spdlog::error("ending: {}", std::string(status.message()));
    ends_with_ = std::move(status);
  }
  if (!draining_) {
    draining_ = true;
    deadline_ = SystemClock().Monotonic() + options_.grace;
  }
  leave_ = true;
  if (call_ != nullptr) {
    call_->TryCancel();
  }
}

bool Agent::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

absl::Status Agent::ready() const {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return ends_with_.ok() ? absl::UnavailableError("this worker drains") : ends_with_;
  }
  return lease_time_ > absl::ZeroDuration()
             ? absl::OkStatus()
             : absl::UnavailableError("the coordinator does not know this worker yet");
}

void Agent::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  AwaitFor(mutex_, absl::Condition(&draining_), duration);
}

template <typename Call>
grpc::Status Agent::Cancellable(absl::Duration deadline, Call call, bool drains) {
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  {
    absl::MutexLock lock(&mutex_);
    if (draining_ && !drains) {
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
  for (const int64_t lease : outcomes_.leases()) {
    request.add_lease_ids(lease);
  }
  v1::RegisterResponse response;
  grpc::ClientContext context;
  SetDeadline(context, kCallTime);
  RETURN_IF_ERROR(FromGrpc(stub_->Register(&context, request, &response)));
  const absl::Status claimed =
      outcomes_.Claim({response.store(), options_.worker_id, options_.device_kind});
  const absl::Duration window = absl::Seconds(response.retry_window_seconds());
  outcomes_.set_retry_window(window);
  absl::MutexLock lock(&mutex_);
  if (!claimed.ok()) {
    refused_ = true;
    StopWith(claimed);
    return claimed;
  }
  lease_time_ = absl::Seconds(response.lease_seconds());
  retry_window_ = window;
  return absl::OkStatus();
}

absl::Status Agent::LeaseOnce(Wish& wish, v1::LeaseJobsResponse* response) {
  if (!wish.registered) {
    RETURN_IF_ERROR(Register());
    wish.registered = true;
  }
  if (!outcomes_.AwaitRoom()) {
    return absl::CancelledError("draining");
  }
  v1::LeaseJobsRequest request;
  request.set_worker_id(options_.worker_id);
  // A call whose answer was lost is repeated under its number and gets the same lease.
  request.set_request_number(wish.number);
  request.set_wait_seconds(absl::ToDoubleSeconds(options_.lease_wait));
  const absl::Status status =
      FromGrpc(Cancellable(options_.lease_wait + kCallTime, [&](grpc::ClientContext* context) {
        wish.asked = true;
        return stub_->LeaseJobs(context, request, response);
      }));
  wish.registered = !absl::IsNotFound(status);
  if (status.ok()) {
    ++wish.number;
  }
  wish.asked = wish.asked && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
                              absl::IsCancelled(status));
  return status;
}

void Agent::Close(const Wish& wish, absl::Duration patience) {
  v1::LeaseJobsRequest request;
  request.set_worker_id(options_.worker_id);
  request.set_request_number(wish.number);
  request.set_close(true);
  request.set_instance(instance_);
  v1::LeaseJobsResponse response;
  const absl::Status status = FromGrpc(Cancellable(
      std::min(patience, kCallTime),
      [&](grpc::ClientContext* context) { return stub_->LeaseJobs(context, request, &response); },
      /*drains=*/true));
  if (!status.ok()) {
    spdlog::warn("coordinator: {}; a lease that it may have granted ends by itself",
                 std::string(status.message()));
  } else if (response.has_lease()) {
    spdlog::info("lease {} is handed back, which came too late", response.lease().lease_id());
    outcomes_.Send(EndOf(response.lease()));
  }
}

absl::Status Agent::Run() {
  Backoff backoff({}, RandomNumber());
  heartbeats_ = std::thread([this] { HeartbeatLoop(); });
  Wish wish;
  while (!draining()) {
    v1::LeaseJobsResponse response;
    absl::Status status = LeaseOnce(wish, &response);
    if (status.ok()) {
      backoff.Reset();
      if (response.has_lease()) {
        RunLease(response.lease());
      }
    }
    // A worker that was let in before waits for credentials that are renewed.
    const bool unknown = absl::IsUnauthenticated(status) && wish.number == 0;
    if (absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status) ||
        absl::IsInvalidArgument(status) || unknown) {
      absl::MutexLock lock(&mutex_);
      StopWith(status);
    }
    if (status.ok() || draining()) {
      continue;
    }
    spdlog::warn("coordinator: {}; trying again", std::string(status.message()));
    absl::Duration window;
    {
      absl::MutexLock lock(&mutex_);
      window = retry_window_;
    }
    Pause(backoff.Next(window));
  }
  const auto patience = [this] {
    absl::MutexLock lock(&mutex_);
    return refused_ ? absl::ZeroDuration() : deadline_ - SystemClock().Monotonic();
  };
  if (wish.asked && patience() > absl::ZeroDuration()) {
    Close(wish, patience());
  }
  if (!outcomes_.AwaitUnacknowledged(0, patience())) {
    spdlog::warn("{} reports are not acknowledged in time; they stay in the spool",
                 outcomes_.unacknowledged());
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  if (heartbeat_ != nullptr) {
    heartbeat_->TryCancel();
  }
  return ends_with_;
}

void Agent::RunLease(const v1::Lease& lease) {
  {
    absl::MutexLock lock(&mutex_);
    held_.set_lease_id(lease.lease_id());
    held_.mutable_campaign()->set_campaign_id(lease.campaign().campaign_id());
    leave_ = draining_;
  }
  LeaseHooks hooks;
  hooks.leave = [this] { return leave_.load(); };
  hooks.finish = [this] { return draining(); };
  hooks.begin = [&](const std::vector<int64_t>& jobs) {
    v1::OutcomeReport report = ReportOf(lease);
    report.mutable_begun()->mutable_job_ids()->Add(jobs.begin(), jobs.end());
    if (!jobs.empty()) {
      spdlog::info("lease {}: {} jobs begin, from job {}", lease.lease_id(), jobs.size(), jobs[0]);
    }
    outcomes_.Send(std::move(report));
  };
  hooks.report = [this](v1::OutcomeReport report) { outcomes_.Send(std::move(report)); };
  const absl::Status status = LeaseRunner(workbench_).Run(lease, hooks);
  absl::MutexLock lock(&mutex_);
  if (absl::IsCancelled(status)) {
    spdlog::info("lease {} is left", lease.lease_id());
    if (draining_ && held_.lease_id() != 0) {
      outcomes_.Send(EndOf(lease));  // hands back what was not done
    }
  }
  held_.Clear();
  if (absl::IsAborted(status)) {
    StopWith(status);
  }
}

void Agent::LeaseEnded(int64_t lease) {
  absl::MutexLock lock(&mutex_);
  if (held_.lease_id() == lease && !leave_) {
    spdlog::info("lease {} has ended", lease);
    leave_ = true;
  }
}

void Agent::HeartbeatLoop() {
  for (;;) {
    absl::Duration wait;
    {
      // Only the coordinator knows how long its leases last.
      absl::MutexLock lock(&mutex_);
      auto registered = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return lease_time_ > absl::ZeroDuration() || ended_ || draining_;
      };
      mutex_.Await(absl::Condition(&registered));
      wait = lease_time_ / 3;
      // A worker that drains still holds leases.
      if (AwaitFor(mutex_, absl::Condition(&ended_), wait) || wait == absl::ZeroDuration()) {
        return;
      }
    }
    Heartbeat();
  }
}

void Agent::Heartbeat() {
  v1::HeartbeatRequest request;
  request.set_worker_id(options_.worker_id);
  std::set<int64_t> leases = outcomes_.leases();
  {
    absl::MutexLock lock(&mutex_);
    if (held_.lease_id() != 0) {
      leases.insert(held_.lease_id());
    }
  }
  for (const int64_t lease : leases) {
    request.add_lease_ids(lease);
  }
  v1::HeartbeatResponse response;
  grpc::ClientContext context;
  SetDeadline(context, kCallTime);
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) {
      return;
    }
    heartbeat_ = &context;
  }
  const absl::Status status = FromGrpc(stub_->Heartbeat(&context, request, &response));
  {
    absl::MutexLock lock(&mutex_);
    heartbeat_ = nullptr;
    if (ended_) {
      return;
    }
  }
  if (absl::IsNotFound(status)) {
    Register().IgnoreError();
    return;
  }
  if (!status.ok()) {
    spdlog::warn("heartbeat: {}", std::string(status.message()));
    return;
  }
  for (const int64_t ended : response.ended_lease_ids()) {
    LeaseEnded(ended);
  }
  const absl::Duration window = absl::Seconds(response.retry_window_seconds());
  outcomes_.set_retry_window(window);
  absl::MutexLock lock(&mutex_);
  retry_window_ = window;
  if (response.desired_state() == v1::HeartbeatResponse::DESIRED_STATE_DRAIN) {
    StopWith(absl::PermissionDeniedError("the coordinator has quarantined this worker"));
  }
}

}  // namespace bitquake
