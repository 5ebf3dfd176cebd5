// The server's TLS flags; no gRPC here.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// Paths; empty: not given.
struct TlsOptions {
  std::string cert;       // the server's certificate with its chain, PEM; turns TLS on
  std::string key;        // its key
  std::string client_ca;  // signs certificates of clients; their roles are in them
  std::string tokens;     // file of role tokens (authenticator.h)
  std::string revoked;    // file of revoked certificates (authenticator.h)
};

// Whether flags and address go together, before any file is read. Errors: InvalidArgument.
absl::Status CheckListenFlags(absl::string_view address, const TlsOptions& tls, bool insecure);

}  // namespace bitquake
