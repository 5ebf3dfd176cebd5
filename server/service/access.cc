#include "server/service/access.h"

#include <grpc/grpc_security_constants.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/service/authorization.h"
#include "server/service/translate.h"

namespace bitquake {
namespace {

std::string Text(const grpc::string_ref& text) { return std::string(text.data(), text.size()); }

std::string Find(const grpc::AuthMetadataProcessor::InputMetadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? std::string() : Text(found->second);
}

}  // namespace

absl::Status Access::Check(absl::string_view path, const InputMetadata& metadata,
                           const grpc::AuthContext& connection) const {
  if (metadata.count("authorization") > 1) {
    return absl::UnauthenticatedError("the call shows several tokens; show one");
  }
  Credentials credentials;
  credentials.authorization = Find(metadata, "authorization");
  const std::vector<grpc::string_ref> certificates =
      connection.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (!certificates.empty()) {
    credentials.certificate = Text(certificates.front());
  }
  return Authorize(path, authenticator_->Identify(credentials));
}

grpc::Status Access::Process(const InputMetadata& metadata, grpc::AuthContext* connection,
                             OutputMetadata*, OutputMetadata*) {
  return ToGrpc(Check(Find(metadata, ":path"), metadata, *connection));
}

absl::Status Access::Recheck(absl::string_view path, const grpc::ServerContextBase& call) const {
  return Check(path, call.client_metadata(), *call.auth_context());
}

absl::Status Access::CheckPage(absl::string_view authorization) const {
  return Authorize("/bitquake.v1.CampaignService/GetCampaign",
                   authenticator_->Identify({std::string(authorization), ""}));
}

}  // namespace bitquake
