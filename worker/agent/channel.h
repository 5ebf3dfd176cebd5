// The worker's connection to its coordinator.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "bitquake/v1/worker.grpc.pb.h"
#include "common/channel/connection_options.h"

namespace bitquake {

// Connects lazily, and again within seconds after the coordinator was away. Errors: OpenChannel's.
absl::StatusOr<std::unique_ptr<v1::WorkerService::Stub>> ConnectToCoordinator(
    const ConnectionOptions& options);

}  // namespace bitquake
