// The client's side of a connection to a coordinator, for people's commands and for workers alike:
// where it is, whom to trust, who one is.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace CLI {
class App;
}

namespace bitquake {

// Empty fields: not given. On "unix:PATH" all but the address is left aside: there the socket's
// folder says who may come in.
struct ConnectionOptions {
  std::string address = "127.0.0.1:50551";  // HOST:PORT or unix:PATH
  std::string tls_ca;      // PEM file of the CA that signed the server's certificate; turns TLS on
  std::string tls_cert;    // PEM files of one's own certificate, with its chain, and of its key
  std::string tls_key;     //
  std::string token_file;  // holds a token; read at each call, so that it may be replaced
};

// Adds --server, --tls-ca, --tls-cert, --tls-key and --token-file, each also from the environment
// (BITQUAKE_SERVER, BITQUAKE_TLS_CA, ...). A token itself comes from BITQUAKE_TOKEN or a file:
// arguments can be read by everybody on a host.
void AddConnectionFlags(CLI::App& app, ConnectionOptions* options);

// The token to send: the file's first line, or BITQUAKE_TOKEN; empty if there is neither. Errors:
// InvalidArgument if the file cannot be read or holds no token. No error shows what was read.
absl::StatusOr<std::string> ReadToken(const ConnectionOptions& options);

}  // namespace bitquake
