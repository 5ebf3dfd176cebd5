// A coordinator that says what a test tells it to, over real gRPC on a Unix socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bitquake/v1/worker.grpc.pb.h"
#include "tests/worker/agent/inbox.h"

namespace bitquake {

// As a worker connects.
std::unique_ptr<v1::WorkerService::Stub> ConnectTo(const std::string& address);

// A call that waits for its answer. Dropped without one, it fails as if the coordinator had died.
template <typename Request, typename Response>
class Call {
 public:
  Call(const Request& request, Response* response, grpc::ServerUnaryReactor* reactor)
      : request_(request), response_(response), reactor_(reactor) {}
  ~Call() { Fail(grpc::StatusCode::UNAVAILABLE); }
  Call(const Call&) = delete;

  const Request& request() const { return request_; }
  void Reply(const Response& response = {}) {
    *response_ = response;
    Finish(grpc::Status::OK);
  }
  void Fail(grpc::StatusCode code) { Finish(grpc::Status(code, "so says the script")); }

 private:
  void Finish(const grpc::Status& status) {
    if (reactor_ != nullptr) {
      reactor_->Finish(status);
      reactor_ = nullptr;
    }
  }

  const Request request_;
  Response* const response_;
  grpc::ServerUnaryReactor* reactor_;
};

// A stream of reports as the coordinator sees it.
class IncomingStream : public grpc::ServerBidiReactor<v1::OutcomeReport, v1::OutcomeAck>,
                       public std::enable_shared_from_this<IncomingStream> {
 public:
  // The next report that is more than word of what is at work; waits.
  v1::OutcomeReport Next();
  // The next report.
  v1::OutcomeReport NextOfAll() { return reports_.Pop(); }
  // Returns when it is written.
  void Acknowledge(int64_t sequence, const std::string& error = "");
  // Of a lease that was taken away.
  void TellEnded(int64_t lease);
  void End(grpc::StatusCode code);
  // Says nothing even when the worker has said all; otherwise that ends the stream well.
  void StaySilent();

 private:
  friend class ScriptedServer;
  void Begin();
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { written_.Push(ok); }
  void OnCancel() override { End(grpc::StatusCode::CANCELLED); }
  void OnDone() override { self_.reset(); }

  std::shared_ptr<IncomingStream> self_;  // until gRPC is done with it
  v1::OutcomeReport read_;
  v1::OutcomeAck write_;
  Inbox<v1::OutcomeReport> reports_;
  Inbox<bool> written_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
};

using RegisterCall = Call<v1::RegisterRequest, v1::RegisterResponse>;
using LeaseCall = Call<v1::LeaseJobsRequest, v1::LeaseJobsResponse>;
using HeartbeatCall = Call<v1::HeartbeatRequest, v1::HeartbeatResponse>;

class ScriptedServer : private v1::WorkerService::CallbackService {
 public:
  explicit ScriptedServer(const std::string& address);
  // Whatever is open fails; a test that holds a call lets go of it before.
  ~ScriptedServer() override;

  // Calls as they come.
  Inbox<std::unique_ptr<RegisterCall>> registrations;
  Inbox<std::unique_ptr<LeaseCall>> leases;
  Inbox<std::unique_ptr<HeartbeatCall>> heartbeats;
  Inbox<std::shared_ptr<IncomingStream>> streams;

 private:
  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext* context,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* LeaseJobs(grpc::CallbackServerContext* context,
                                      const v1::LeaseJobsRequest* request,
                                      v1::LeaseJobsResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override;
  grpc::ServerBidiReactor<v1::OutcomeReport, v1::OutcomeAck>* StreamOutcomes(
      grpc::CallbackServerContext* context) override;

  std::unique_ptr<grpc::Server> server_;
};

}  // namespace bitquake
