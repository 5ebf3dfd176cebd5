// The worker's connection to its coordinator.
#pragma once

#include <memory>
#include <string>

#include "bitquake/v1/worker.grpc.pb.h"

namespace bitquake {

// `address` is HOST:PORT or unix:PATH. Connects lazily, and again within seconds after the
// coordinator was away.
std::unique_ptr<v1::WorkerService::Stub> ConnectToCoordinator(const std::string& address);

}  // namespace bitquake
