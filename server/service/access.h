// The one gate that every call passes before anything of it is read: it finds out who calls and
// whether the table of authorization.h lets them.
#pragma once

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "server/service/authenticator.h"

namespace bitquake {

// Thread-safe.
class Access final : public grpc::AuthMetadataProcessor {
 public:
  // `clock` must outlive it.
  Access(std::shared_ptr<Authenticator> authenticator, const Clock* clock)
      : authenticator_(std::move(authenticator)), clock_(clock) {}

  // Called by gRPC for every call, of every service.
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* connection,
                       OutputMetadata* consumed, OutputMetadata* response) override;

  // Whether the caller of a stream that is under way may still make this call.
  absl::Status Recheck(absl::string_view path, const grpc::ServerContextBase& call) const;

  // Whether an HTTP request with this Authorization header may read pages of campaigns.
  absl::Status CheckPage(absl::string_view authorization) const;

  const Clock& clock() const { return *clock_; }

 private:
  absl::Status Check(absl::string_view path, const InputMetadata& metadata,
                     const grpc::AuthContext& connection) const;

  const std::shared_ptr<Authenticator> authenticator_;
  const Clock* const clock_;
};

}  // namespace bitquake
