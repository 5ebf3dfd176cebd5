#include "server/service/grpc_server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/service/campaign_service.h"
#include "server/service/worker_service.h"

namespace bitquake {
namespace {

// A golden report carries a 32-bit class for each image of a fold; results carry the trials of a
// cell.
constexpr int kLargestMessage = 256 << 20;
constexpr auto kGrace = std::chrono::seconds(5);

}  // namespace

struct GrpcServer::Impl {
  Impl(const GrpcOptions& options, Coordinator* coordinator)
      : campaigns(coordinator, options.database), workers(coordinator) {}

  CampaignService campaigns;
  WorkerService workers;
  RpcLatencies latencies;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() { Stop(); }

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcOptions& options,
                                                              Coordinator* coordinator) {
  auto impl = std::make_unique<Impl>(options, coordinator);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kLargestMessage);
  builder.SetMaxSendMessageSize(kLargestMessage);
  // Two servers must not share a port silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddListeningPort(options.address, grpc::InsecureServerCredentials(), &impl->port);
  builder.RegisterService(&impl->campaigns);
  builder.RegisterService(&impl->workers);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(impl->latencies.Interceptors());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  impl->server = builder.BuildAndStart();
  const bool bound = impl->server != nullptr && impl->port != 0;
  if (!bound) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options.address, "; is it taken, or not writable?"));
  }
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

const RpcLatencies& GrpcServer::latencies() const { return impl_->latencies; }

int GrpcServer::port() const { return impl_->port; }

void GrpcServer::Stop() {
  if (impl_->server != nullptr) {
    impl_->server->Shutdown(std::chrono::system_clock::now() + kGrace);
    impl_->server->Wait();
    impl_->server.reset();
  }
}

}  // namespace bitquake
