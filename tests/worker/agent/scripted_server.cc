#include "tests/worker/agent/scripted_server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "worker/agent/channel.h"

namespace bitquake {

std::unique_ptr<v1::WorkerService::Stub> ConnectTo(const std::string& address) {
  ConnectionOptions options;
  options.address = address;
  auto stub = ConnectToCoordinator(options);
  EXPECT_TRUE(stub.ok()) << stub.status();
  return *std::move(stub);
}

void IncomingStream::Begin() {
  self_ = shared_from_this();
  StartRead(&read_);
}

void IncomingStream::OnReadDone(bool ok) {
  if (!ok) {  // the worker has said all
    mutex_.Lock();
    const bool silent = silent_;
    mutex_.Unlock();
    if (!silent) {
      End(grpc::StatusCode::OK);
    }
    return;
  }
  reports_.Push(read_);
  StartRead(&read_);
}

v1::OutcomeReport IncomingStream::Next() {
  for (;;) {
    v1::OutcomeReport report = NextOfAll();
    if (!report.has_begun()) {
      return report;
    }
  }
}

void IncomingStream::Acknowledge(int64_t sequence, const std::string& error) {
  write_.Clear();
  write_.set_sequence(sequence);
  write_.set_error(error);
  StartWrite(&write_);
  EXPECT_TRUE(written_.Pop());
}

void IncomingStream::TellEnded(int64_t lease) {
  write_.Clear();
  write_.set_ended_lease_id(lease);
  StartWrite(&write_);
  EXPECT_TRUE(written_.Pop());
}

void IncomingStream::StaySilent() {
  absl::MutexLock lock(&mutex_);
  silent_ = true;
}

void IncomingStream::End(grpc::StatusCode code) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) {
      return;
    }
  }
  Finish(grpc::Status(code, "so says the script"));
}

ScriptedServer::ScriptedServer(const std::string& address) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  EXPECT_NE(server_, nullptr) << address;
}

ScriptedServer::~ScriptedServer() {
  registrations.Close();
  leases.Close();
  heartbeats.Close();
  streams.Close();
  server_->Shutdown(std::chrono::system_clock::now());  // cancels, and waits for what is open
}

grpc::ServerUnaryReactor* ScriptedServer::Register(grpc::CallbackServerContext* context,
                                                   const v1::RegisterRequest* request,
                                                   v1::RegisterResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  registrations.Push(std::make_unique<RegisterCall>(*request, response, reactor));
  return reactor;
}

grpc::ServerUnaryReactor* ScriptedServer::LeaseJobs(grpc::CallbackServerContext* context,
                                                    const v1::LeaseJobsRequest* request,
                                                    v1::LeaseJobsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  leases.Push(std::make_unique<LeaseCall>(*request, response, reactor));
  return reactor;
}

grpc::ServerUnaryReactor* ScriptedServer::Heartbeat(grpc::CallbackServerContext* context,
                                                    const v1::HeartbeatRequest* request,
                                                    v1::HeartbeatResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  heartbeats.Push(std::make_unique<HeartbeatCall>(*request, response, reactor));
  return reactor;
}

grpc::ServerBidiReactor<v1::OutcomeReport, v1::OutcomeAck>* ScriptedServer::StreamOutcomes(
    grpc::CallbackServerContext*) {
  const auto stream = std::make_shared<IncomingStream>();
  stream->Begin();
  streams.Push(stream);
  return stream.get();
}

}  // namespace bitquake
