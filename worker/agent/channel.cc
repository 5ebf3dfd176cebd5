#include "worker/agent/channel.h"

#include "common/base/status_macros.h"
#include "common/channel/channel.h"

namespace bitquake {

absl::StatusOr<std::unique_ptr<v1::WorkerService::Stub>> ConnectToCoordinator(
    const ConnectionOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options));
  return v1::WorkerService::NewStub(channel);
}

}  // namespace bitquake
