// The gRPC side of the coordinator: both services, grpc.health.v1, limits.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/scheduler/coordinator.h"
#include "server/service/rpc_latencies.h"
#include "server/service/tls_options.h"

namespace bitquake {

struct GrpcOptions {
  std::string address;   // "unix:PATH", "127.0.0.1:0", ...
  std::string database;  // results are read from it
  TlsOptions tls = {};   // CheckListenFlags has been asked
};

// Serves until Stop or destruction. Thread-safe.
class GrpcServer {
 public:
  // Errors: Unavailable if the address cannot be had; PrepareListening's.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcOptions& options,
                                                           Coordinator* coordinator);
  ~GrpcServer();

  // How long calls took; lives as long as the server.
  const RpcLatencies& latencies() const;

  // The port that was bound; 0 for Unix sockets.
  int port() const;

  // Whether an HTTP request with this Authorization header ("" if it has none) may read pages about
  // campaigns. Errors: Unauthenticated, PermissionDenied. Without TLS everybody may.
  absl::Status CheckPage(absl::string_view authorization) const;

  // Refuses new calls; those under way may end within a few seconds. The coordinator must be
  // stopped before, so that long polls and watches end.
  void Stop();

 private:
  struct Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitquake
