// How the coordinator lets others in: plain text where only this host can come, TLS elsewhere.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "server/service/access.h"
#include "server/service/tls_options.h"

namespace bitquake {

// What a gRPC server listens with. Without TLS there is no access to check: `access` is null.
struct Listening {
  std::shared_ptr<grpc::ServerCredentials> credentials;
  std::shared_ptr<Access> access;
};

// `clock` must outlive it. Errors: InvalidArgument, that names the flag and what to do.
absl::StatusOr<Listening> PrepareListening(const TlsOptions& options, const Clock* clock);

}  // namespace bitquake
