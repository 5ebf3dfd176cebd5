#include "server/service/grpc_server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "server/service/address.h"
#include "server/service/campaign_service.h"
#include "server/service/limits.h"
#include "server/service/listening.h"
#include "server/service/worker_service.h"

namespace bitquake {
namespace {

constexpr auto kGrace = std::chrono::seconds(5);

}  // namespace

struct GrpcServer::Impl {
  Impl(const GrpcOptions& options, std::unique_ptr<Clock> own_clock, Listening listening,
       Coordinator* coordinator)
      : clock(std::move(own_clock)),
        access(std::move(listening.access)),
        campaigns(coordinator, options.database, clock.get(), access.get()),
        workers(coordinator, access.get()) {}

  const std::unique_ptr<const Clock> clock;
  const std::shared_ptr<Access> access;  // null: everybody may call everything
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
  auto clock = std::make_unique<SystemClock>();
  ASSIGN_OR_RETURN(Listening listening, PrepareListening(options.tls, clock.get()));
  const std::shared_ptr<grpc::ServerCredentials> credentials = listening.credentials;
  auto impl = std::make_unique<Impl>(options, std::move(clock), std::move(listening), coordinator);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kLargestRequest);
  builder.SetMaxSendMessageSize(kLargestResponse);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(kHandshakeTime)));
  // Two servers must not share a port silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);  // costs memory and time; nobody asks
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddListeningPort(options.address, credentials, &impl->port);
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
  RETURN_IF_ERROR(RestrictSocket(options.address));
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

absl::Status GrpcServer::CheckPage(absl::string_view authorization) const {
  return impl_->access == nullptr ? absl::OkStatus() : impl_->access->CheckPage(authorization);
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
