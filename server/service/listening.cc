#include "server/service/listening.h"

#include <grpc/grpc_security_constants.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/channel/certificate.h"
#include "server/service/address.h"

namespace bitquake {

absl::Status CheckListenFlags(absl::string_view address, const TlsOptions& tls, bool insecure) {
  const bool on = !tls.cert.empty() || !tls.key.empty();
  if (!on) {
    if (!tls.client_ca.empty() || !tls.tokens.empty() || !tls.revoked.empty()) {
      return absl::InvalidArgumentError(
          "--tls-client-ca, --tokens and --tls-revoked need TLS; give --tls-cert and --tls-key");
    }
    return insecure ? absl::OkStatus() : CheckPlainTextAddress(address);
  }
  if (tls.cert.empty() || tls.key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together; give both");
  }
  if (absl::StartsWith(address, "unix:")) {
    return absl::InvalidArgumentError(
        "TLS is for HOST:PORT; who may use a Unix socket is said by the permissions of its folder");
  }
  if (tls.client_ca.empty() && tls.tokens.empty()) {
    return absl::InvalidArgumentError(
        "nobody could get in; give --tls-client-ca FILE, --tokens FILE, or both");
  }
  if (!tls.revoked.empty() && tls.client_ca.empty()) {
    return absl::InvalidArgumentError(
        "--tls-revoked lists certificates of clients, which need --tls-client-ca");
  }
  return absl::OkStatus();
}

absl::StatusOr<Listening> PrepareListening(const TlsOptions& options, const Clock* clock) {
  if (options.cert.empty()) {
    return Listening{grpc::InsecureServerCredentials(), nullptr};
  }
  // Without tokens a certificate is the only way in, and the handshake asks for it.
  grpc::SslServerCredentialsOptions tls(
      options.client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
      : options.tokens.empty()  ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  ASSIGN_OR_RETURN(pair.cert_chain, ReadCertificateFile("--tls-cert", options.cert));
  ASSIGN_OR_RETURN(pair.private_key, ReadKeyFile("--tls-key", options.key, pair.cert_chain));
  tls.pem_key_cert_pairs.push_back(std::move(pair));
  if (!options.client_ca.empty()) {
    ASSIGN_OR_RETURN(tls.pem_root_certs, ReadCertificateFile("--tls-client-ca", options.client_ca));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<Authenticator> authenticator,
                   Authenticator::Open({options.tokens, options.revoked}, clock));
  Listening listening;
  listening.access = std::make_shared<Access>(std::move(authenticator), clock);
  listening.credentials = grpc::SslServerCredentials(tls);
  listening.credentials->SetAuthMetadataProcessor(listening.access);
  return listening;
}

}  // namespace bitquake
