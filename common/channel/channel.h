// Opens gRPC channels to a coordinator.
//
//   ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options));
//   const auto stub = v1::CampaignService::NewStub(channel);
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/channel/connection_options.h"

namespace bitquake {

// Connects when first used, and again within seconds after the server was away. Thread-safe.
// Errors: InvalidArgument for files that cannot be read, are not what they should be, or have
// expired, and for a token or a certificate without --tls-ca.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ConnectionOptions& options);

// What to do about a call that ended UNAVAILABLE, from gRPC's message: "is it running? ...".
std::string UnavailableRemedy(absl::string_view message);

}  // namespace bitquake
