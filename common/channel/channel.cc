#include "common/channel/channel.h"

#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/channel/certificate.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

// Results carry the trials of a cell.
constexpr int kLargestMessage = 256 << 20;

// Sends the token with each call, as it is then: a replaced file counts at once.
class TokenPlugin final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenPlugin(ConnectionOptions options) : options_(std::move(options)) {}

  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    const absl::StatusOr<std::string> token = ReadToken(options_);
    if (!token.ok()) {
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(token.status().message()));
    }
    metadata->emplace("authorization", absl::StrCat("Bearer ", *token));
    return grpc::Status::OK;
  }

 private:
  const ConnectionOptions options_;
};

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const ConnectionOptions& options) {
  if (absl::StartsWith(options.address, "unix:")) {
    return grpc::InsecureChannelCredentials();
  }
  ASSIGN_OR_RETURN(const std::string token, ReadToken(options));
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together; give both");
  }
  if (options.tls_ca.empty()) {
    if (!token.empty() || !options.tls_cert.empty()) {
      return absl::InvalidArgumentError(
          "a token or a certificate is only shown over TLS; name the CA that signed the server's "
          "certificate with --tls-ca");
    }
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions tls;
  ASSIGN_OR_RETURN(tls.pem_root_certs, ReadCertificateFile("--tls-ca", options.tls_ca));
  if (!options.tls_cert.empty()) {
    ASSIGN_OR_RETURN(tls.pem_cert_chain, ReadCertificateFile("--tls-cert", options.tls_cert));
    ASSIGN_OR_RETURN(tls.pem_private_key,
                     ReadKeyFile("--tls-key", options.tls_key, tls.pem_cert_chain));
  }
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::SslCredentials(tls);
  return token.empty()
             ? credentials
             : grpc::CompositeChannelCredentials(
                   credentials,
                   grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenPlugin>(options)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ConnectionOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials,
                   MakeCredentials(options));
  // gRPC's own lines about handshakes would stand beside the one error that a person should read.
  gpr_set_log_function([](gpr_log_func_args* line) { spdlog::debug("gRPC: {}", line->message); });
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // What an attempt to connect is given at least; TLS to a far or busy host takes its time.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetMaxReceiveMessageSize(kLargestMessage);
  return grpc::CreateCustomChannel(options.address, credentials, arguments);
}

std::string UnavailableRemedy(absl::string_view message) {
  // OpenSSL's words, as gRPC passes them on.
  struct Cue {
    absl::string_view words;
    absl::string_view remedy;
  };
  constexpr Cue kCues[] = {
      {"CERTIFICATE_VERIFY_FAILED",
       "its certificate is not signed by the CA of --tls-ca, or has expired; name its CA"},
      {"certificate verify failed",
       "its certificate is not signed by the CA of --tls-ca, or has expired; name its CA"},
      {"not in peer certificate",
       "its certificate is of another host; use a name that it holds, or make one with this name"},
      {"Hostname Verification Check failed",
       "its certificate is of another host; use a name that it holds, or make one with this name"},
      {"wrong version number", "it does not speak TLS; leave --tls-ca out, or start it with TLS"},
      {"WRONG_VERSION_NUMBER", "it does not speak TLS; leave --tls-ca out, or start it with TLS"},
      {"alert",
       "it refused this side's certificate; give one of its CA with --tls-cert and "
       "--tls-key"},
      {"Socket closed",
       "is it running? If it uses TLS, name its CA with --tls-ca, and your certificate, if it asks "
       "for one, with --tls-cert and --tls-key"},
      {"reset by peer",
       "is it running? If it uses TLS, name its CA with --tls-ca, and your certificate, if it asks "
       "for one, with --tls-cert and --tls-key"},
  };
  for (const Cue& cue : kCues) {
    if (absl::StrContains(message, cue.words)) {
      return std::string(cue.remedy);
    }
  }
  return "is it running? name another with --server";
}

}  // namespace bitquake
