// Makes every call that the server's services have, with an empty request, and prints what gRPC
// answers: a line "SERVICE.METHOD CODE MESSAGE" each. The flags are a client's.
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "bitquake/v1/campaign.pb.h"
#include "bitquake/v1/worker.pb.h"
#include "common/channel/channel.h"

namespace bitquake {
namespace {

struct ProbedCall {
  std::string service;  // without its package
  std::string method;
  std::string path;
};

std::vector<ProbedCall> AllCalls() {
  std::vector<ProbedCall> calls;
  for (const auto* file :
       {v1::SubmitRequest::descriptor()->file(), v1::RegisterRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      const auto* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        const std::string& method = service->method(m)->name();
        calls.push_back(
            {service->name(), method, absl::StrCat("/", service->full_name(), "/", method)});
      }
    }
  }
  calls.push_back({"Health", "Check", "/grpc.health.v1.Health/Check"});
  calls.push_back({"Health", "Watch", "/grpc.health.v1.Health/Watch"});
  calls.push_back({"WorkerService", "NoSuchCall", "/bitquake.v1.WorkerService/NoSuchCall"});
  return calls;
}

void Await(grpc::CompletionQueue& queue) {
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
}

// All kinds of calls are alike on the wire: what is sent, the end of it, what comes back.
grpc::Status Call(grpc::GenericStub& stub, const std::string& path) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  Await(queue);
  grpc::Slice nothing;
  call->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), nullptr);
  Await(queue);
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  void* tag;
  bool answered;
  queue.Next(&tag, &answered);
  if (answered) {
    context.TryCancel();  // a watch would go on
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  Await(queue);
  return answered ? grpc::Status::OK : status;
}

int Probe(const ConnectionOptions& options) {
  const auto channel = OpenChannel(options);
  if (!channel.ok()) {
    std::cerr << channel.status().message() << "\n";
    return 2;
  }
  grpc::GenericStub stub(*channel);
  for (const ProbedCall& call : AllCalls()) {
    const grpc::Status status = Call(stub, call.path);
    std::cout << call.service << "." << call.method << " " << status.error_code() << " "
              << absl::StrReplaceAll(status.error_message(), {{"\n", " "}}) << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  CLI::App app("Makes every call once.");
  bitquake::ConnectionOptions options;
  bitquake::AddConnectionFlags(app, &options);
  CLI11_PARSE(app, argc, argv);
  return bitquake::Probe(options);
}
