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
  // Commands of a program share `options`, and the environment is read for each of them: what
  // counts is the command that was given.
  const auto add = [&app](const std::string& name, std::string* value, const char* variable,
                          const std::string& doc) {
    return app
        .add_option_function<std::string>(
            name,
            [&app, value](const std::string& given) {
              if (app.parsed()) {
                *value = given;
              }
            },
            doc)
        ->envname(variable);
  };
  add("--server", &options->address, "BITQUAKE_SERVER", "the coordinator: HOST:PORT or unix:PATH")
      ->default_str(options->address);
  add("--tls-ca", &options->tls_ca, "BITQUAKE_TLS_CA",
      "use TLS; certificate of the CA that signed the server's");
  add("--tls-cert", &options->tls_cert, "BITQUAKE_TLS_CERT", "certificate to show to the server");
  add("--tls-key", &options->tls_key, "BITQUAKE_TLS_KEY", "private key of --tls-cert");
  add("--token-file", &options->token_file, "BITQUAKE_TOKEN_FILE",
      "file that holds a token for the server; or set BITQUAKE_TOKEN");
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
