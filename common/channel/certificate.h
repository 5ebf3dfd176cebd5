// X.509 certificates and their keys, as far as Bitquake looks into them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bitquake {

struct CertificateFacts {
  std::string name;         // the subject's common name; may be empty
  std::string role;         // of a subject alternative name "URI:bitquake:role:ROLE"; may be empty
  std::string fingerprint;  // SHA-256 of the certificate, 64 lower-case hexadecimal digits
  absl::Time not_before;
  absl::Time not_after;
};

// Of the first certificate in `pem`. Errors: InvalidArgument if there is none, or if it holds
// several roles.
absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem);

// Whether `key_pem` is the private key of the first certificate in `certificate_pem`. Errors:
// InvalidArgument, that says what is wrong and nothing of the key.
absl::Status CheckKey(absl::string_view certificate_pem, absl::string_view key_pem);

// The bytes of a file, once they hold what is wanted: a certificate that has not expired; its key,
// without a passphrase. `flag` names it in errors. Errors: InvalidArgument.
absl::StatusOr<std::string> ReadCertificateFile(absl::string_view flag, const std::string& path);
absl::StatusOr<std::string> ReadKeyFile(absl::string_view flag, const std::string& path,
                                        absl::string_view certificate_pem);

}  // namespace bitquake
