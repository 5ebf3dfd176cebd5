#include "server/service/worker_service.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/build_info.h"
#include "common/base/shown.h"
#include "server/service/standing.h"
#include "server/service/translate.h"

namespace bitquake {
namespace {

constexpr size_t kLongestWorkerId = 200;
constexpr absl::Duration kLongestWait = absl::Seconds(60);

// A long poll that lets go of its place when the caller goes away.
class LeaseReactor final : public grpc::ServerUnaryReactor {
 public:
  LeaseReactor(Coordinator* coordinator, const v1::LeaseJobsRequest& request,
               v1::LeaseJobsResponse* response)
      : coordinator_(coordinator) {
    auto reply = [this, response](absl::StatusOr<std::unique_ptr<LeaseGrant>> grant) {
      if (grant.ok() && *grant != nullptr) {
        *response->mutable_lease() = ToProto(**grant);
      }
      Finish(ToGrpc(grant.status()));
    };
    if (request.close()) {
      coordinator_->CloseRequest(request.worker_id(), request.instance(), request.request_number(),
                                 std::move(reply));
      return;
    }
    const absl::Duration wait =
        std::clamp(absl::Seconds(request.wait_seconds()), absl::ZeroDuration(), kLongestWait);
    waiter_ =
        coordinator_->Lease(request.worker_id(), request.request_number(), wait, std::move(reply));
  }

  void OnCancel() override { coordinator_->StopWaiting(waiter_); }
  void OnDone() override { delete this; }

 private:
  Coordinator* const coordinator_;
  std::atomic<int64_t> waiter_{0};
};

// Reads on while reports wait for their commit (at most kMostUnacknowledged of them), writes
// acknowledgements as they come. The state is shared with the replies, which may come after the
// stream has ended.
class OutcomeReactor final : public grpc::ServerBidiReactor<v1::OutcomeReport, v1::OutcomeAck> {
 public:
  OutcomeReactor(Coordinator* coordinator, Standing standing)
      : coordinator_(coordinator), standing_(standing) {
    shared_->reactor = this;
    StartRead(&report_);
  }

  void OnReadDone(bool ok) override {
    const absl::Status standing = ok ? standing_.Check() : absl::OkStatus();
    if (!ok || !standing.ok()) {
      absl::MutexLock lock(&shared_->mutex);
      reading_ = false;
      end_of_reports_ = true;
      gone_ = gone_ || !standing.ok();
      error_.Update(standing);
      FinishIfDone();
      return;
    }
    Listen(report_.worker_id());
    const int64_t sequence = report_.sequence();
    absl::StatusOr<Report> report = FromProto(report_);
    {
      absl::MutexLock lock(&shared_->mutex);
      reading_ = false;
      ++unanswered_;
    }
    auto answer = [shared = shared_, sequence](const absl::Status& status) {
      absl::MutexLock lock(&shared->mutex);
      if (shared->reactor != nullptr) {
        shared->reactor->Answered(sequence, status);
      }
    };
    if (report.ok()) {
      coordinator_->Report(*std::move(report), std::move(answer));
    } else {
      answer(report.status());
    }
    absl::MutexLock lock(&shared_->mutex);
    ReadOn();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&shared_->mutex);
    writing_ = false;
    if (!ok) {
      gone_ = true;
      error_ = absl::CancelledError("the worker went away");
    }
    Continue();
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&shared_->mutex);
      shared_->reactor = nullptr;
    }
    if (listener_ != 0) {
      coordinator_->StopListening(listener_);
    }
    delete this;
  }

 private:
  static constexpr int kMostUnacknowledged = 1024;

  struct Shared {
    absl::Mutex mutex;
    OutcomeReactor* reactor = nullptr;
  };

  // A report that would fail in the same way each time it came.
  static bool IsRefusal(const absl::Status& status) {
    return absl::IsInvalidArgument(status) || absl::IsAlreadyExists(status) ||
           absl::IsInternal(status);
  }

  // The worker of a stream is known with its first report.
  void Listen(const std::string& worker) {
    if (listener_ == 0) {
      listener_ = coordinator_->ListenForEnds(worker, [shared = shared_](int64_t lease) {
        absl::MutexLock lock(&shared->mutex);
        if (shared->reactor != nullptr) {
          shared->reactor->LeaseEnded(lease);
        }
      });
    }
  }

  // All below with the mutex held.
  void LeaseEnded(int64_t lease) {
    v1::OutcomeAck ended;
    ended.set_ended_lease_id(lease);
    acknowledgements_.push_back(std::move(ended));
    Continue();
  }

  void Answered(int64_t sequence, const absl::Status& status) {
    --unanswered_;
    if (status.ok() || IsRefusal(status)) {
      v1::OutcomeAck ack;
      ack.set_sequence(sequence);
      ack.set_error(std::string(status.message()));
      acknowledgements_.push_back(std::move(ack));
    } else {
      error_ = status;  // the worker sends again what was not acknowledged
    }
    ReadOn();
    Continue();
  }

  void ReadOn() {
    if (!reading_ && !end_of_reports_ && !finished_ && error_.ok() &&
        unanswered_ < kMostUnacknowledged) {
      reading_ = true;
      StartRead(&report_);
    }
  }

  void Continue() {
    if (!writing_ && !finished_ && !gone_ && !acknowledgements_.empty()) {
      ack_ = std::move(acknowledgements_.front());
      acknowledgements_.pop_front();
      writing_ = true;
      StartWrite(&ack_);
    }
    FinishIfDone();
  }

  void FinishIfDone() {
    // What was stored is acknowledged before the stream ends, also with an error: a report that
    // fails each time it comes keeps none behind it waiting.
    const bool all_said = unanswered_ == 0 && acknowledgements_.empty();
    const bool no_more = end_of_reports_ || !error_.ok();
    if (!finished_ && !writing_ && (gone_ || (no_more && all_said))) {
      finished_ = true;
      Finish(ToGrpc(error_));
    }
  }

  Coordinator* const coordinator_;
  Standing standing_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  v1::OutcomeReport report_;
  v1::OutcomeAck ack_;
  std::deque<v1::OutcomeAck> acknowledgements_;
  absl::Status error_;
  int64_t listener_ = 0;  // used by reads and OnDone, which do not overlap
  int unanswered_ = 0;
  bool reading_ = true;
  bool writing_ = false;
  bool end_of_reports_ = false;
  bool finished_ = false;
  bool gone_ = false;  // the worker, or its right to be here
};

}  // namespace

grpc::ServerUnaryReactor* WorkerService::Register(grpc::CallbackServerContext* context,
                                                  const v1::RegisterRequest* request,
                                                  v1::RegisterResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (request->protocol_version() != kProtocolVersion) {
    reactor->Finish(ToGrpc(absl::FailedPreconditionError(
        absl::StrCat("the worker speaks protocol ", request->protocol_version(),
                     ", the coordinator ", kProtocolVersion, "; use programs of one version"))));
    return reactor;
  }
  if (request->worker_id().empty() || request->instance().empty()) {
    reactor->Finish(ToGrpc(absl::InvalidArgumentError("worker_id or instance is empty")));
    return reactor;
  }
  if (request->worker_id().size() > kLongestWorkerId ||
      Printable(request->worker_id()) != request->worker_id()) {
    reactor->Finish(ToGrpc(absl::InvalidArgumentError(absl::StrCat(
        "worker_id '", Shown(request->worker_id()), "' is longer than ", kLongestWorkerId,
        " bytes, or holds control characters; name the worker "
        "otherwise with --id"))));
    return reactor;
  }
  coordinator_->Register(
      FromProto(*request), {request->lease_ids().begin(), request->lease_ids().end()},
      [reactor, response](absl::StatusOr<Registration> registration) {
        if (registration.ok()) {
          response->set_lease_seconds(absl::ToDoubleSeconds(registration->lease));
          response->set_retry_window_seconds(absl::ToDoubleSeconds(registration->retry_window));
          response->set_store(registration->store);
        }
        reactor->Finish(ToGrpc(registration.status()));
      });
  return reactor;
}

grpc::ServerUnaryReactor* WorkerService::LeaseJobs(grpc::CallbackServerContext*,
                                                   const v1::LeaseJobsRequest* request,
                                                   v1::LeaseJobsResponse* response) {
  return new LeaseReactor(coordinator_, *request, response);
}

grpc::ServerUnaryReactor* WorkerService::Heartbeat(grpc::CallbackServerContext* context,
                                                   const v1::HeartbeatRequest* request,
                                                   v1::HeartbeatResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Heartbeat(
      request->worker_id(), {request->lease_ids().begin(), request->lease_ids().end()},
      [reactor, response](absl::StatusOr<HeartbeatReply> reply) {
        if (reply.ok()) {
          response->set_desired_state(reply->drain ? v1::HeartbeatResponse::DESIRED_STATE_DRAIN
                                                   : v1::HeartbeatResponse::DESIRED_STATE_RUN);
          for (const int64_t lease : reply->ended_leases) {
            response->add_ended_lease_ids(lease);
          }
          response->set_retry_window_seconds(absl::ToDoubleSeconds(reply->retry_window));
        }
        reactor->Finish(ToGrpc(reply.status()));
      });
  return reactor;
}

grpc::ServerBidiReactor<v1::OutcomeReport, v1::OutcomeAck>* WorkerService::StreamOutcomes(
    grpc::CallbackServerContext* context) {
  return new OutcomeReactor(
      coordinator_, Standing(access_, "/bitquake.v1.WorkerService/StreamOutcomes", context));
}

}  // namespace bitquake
