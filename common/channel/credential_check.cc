#include "common/channel/credential_check.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/channel/certificate.h"

namespace bitquake {
namespace {

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

absl::StatusOr<std::string> CheckCertificate(const std::string& path, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(path));
  ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(pem));
  if (facts.not_after <= now) {
    return absl::FailedPreconditionError(
        absl::StrCat("expired on ", Date(facts.not_after), "; make another"));
  }
  if (facts.not_before > now) {
    return absl::FailedPreconditionError(absl::StrCat("counts only from ", Date(facts.not_before),
                                                      " on; is this host's clock right?"));
  }
  return absl::StrCat("of ", facts.name, facts.role.empty() ? "" : ", role ", facts.role,
                      ", until ", Date(facts.not_after), " (",
                      absl::ToInt64Hours(facts.not_after - now) / 24, " days)");
}

absl::Status CheckSecret(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(path);
  }
  return (info.st_mode & 077) == 0
             ? absl::OkStatus()
             : absl::FailedPreconditionError(absl::StrCat("others than its owner may use it; chmod "
                                                          "600 it, and make another if they could "
                                                          "read it"));
}

absl::StatusOr<std::string> CheckKeyOf(const ConnectionOptions& options) {
  ASSIGN_OR_RETURN(const std::string key, ReadFile(options.tls_key));
  ASSIGN_OR_RETURN(const std::string certificate, ReadFile(options.tls_cert));
  RETURN_IF_ERROR(CheckKey(certificate, key));
  RETURN_IF_ERROR(CheckSecret(options.tls_key));
  return "that of the certificate, kept from others";
}

absl::StatusOr<std::string> CheckToken(const ConnectionOptions& options) {
  RETURN_IF_ERROR(ReadToken(options).status());
  if (!options.token_file.empty()) {
    RETURN_IF_ERROR(CheckSecret(options.token_file));
  }
  return "a token; only the server knows whether it still counts";
}

CredentialFinding Finding(const std::string& what, const std::string& path,
                          const absl::StatusOr<std::string>& found) {
  return {what, path, found.ok(), found.ok() ? *found : std::string(found.status().message())};
}

}  // namespace

std::vector<CredentialFinding> CheckCredentials(const ConnectionOptions& options, absl::Time now) {
  std::vector<CredentialFinding> findings;
  if (!options.tls_ca.empty()) {
    findings.push_back(Finding("--tls-ca", options.tls_ca, CheckCertificate(options.tls_ca, now)));
  }
  if (!options.tls_cert.empty()) {
    findings.push_back(
        Finding("--tls-cert", options.tls_cert, CheckCertificate(options.tls_cert, now)));
  }
  if (!options.tls_key.empty()) {
    findings.push_back(Finding("--tls-key", options.tls_key, CheckKeyOf(options)));
  }
  const absl::StatusOr<std::string> token = ReadToken(options);
  if (!token.ok() || !token->empty()) {
    findings.push_back(Finding(options.token_file.empty() ? "BITQUAKE_TOKEN" : "--token-file",
                               options.token_file, CheckToken(options)));
  }
  return findings;
}

}  // namespace bitquake
