#include "common/channel/connection_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/file.h"

namespace bitquake {
namespace {

constexpr size_t kLargestTokenFile = 4096;

absl::StatusOr<std::string> CheckToken(absl::string_view text, absl::string_view where) {
  const absl::string_view token =
      absl::StripAsciiWhitespace(text.substr(0, text.find_first_of("\r\n")));
  if (token.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, " holds no token"));
  }
  if (!std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " holds no token: it has spaces, or what is not ASCII"));
  }
  return std::string(token);
}

}  // namespace

void AddConnectionFlags(CLI::App& app, ConnectionOptions* options) {
  app.add_option("--server", options->address, "the coordinator: HOST:PORT or unix:PATH")
      ->envname("BITQUAKE_SERVER")
      ->capture_default_str();
  app.add_option("--tls-ca", options->tls_ca,
                 "use TLS; certificate of the CA that signed the server's")
      ->envname("BITQUAKE_TLS_CA");
  app.add_option("--tls-cert", options->tls_cert, "certificate to show to the server")
      ->envname("BITQUAKE_TLS_CERT");
  app.add_option("--tls-key", options->tls_key, "private key of --tls-cert")
      ->envname("BITQUAKE_TLS_KEY");
  app.add_option("--token-file", options->token_file,
                 "file that holds a token for the server; or set BITQUAKE_TOKEN")
      ->envname("BITQUAKE_TOKEN_FILE");
}

absl::StatusOr<std::string> ReadToken(const ConnectionOptions& options) {
  if (!options.token_file.empty()) {
    const absl::StatusOr<std::string> text = ReadFile(options.token_file, kLargestTokenFile);
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--token-file: ", text.status().message(), "; name a file that holds one"));
    }
    return CheckToken(*text, absl::StrCat("--token-file ", options.token_file));
  }
  const char* token = std::getenv("BITQUAKE_TOKEN");
  return token == nullptr || *token == '\0' ? std::string() : CheckToken(token, "BITQUAKE_TOKEN");
}

}  // namespace bitquake
