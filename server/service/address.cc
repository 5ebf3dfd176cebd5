#include "server/service/address.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bitquake {

absl::Status CheckPlainTextAddress(absl::string_view address) {
  for (const absl::string_view prefix : {"unix:", "127.0.0.1:", "localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, prefix)) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", address,
                   "' can be reached from other machines and this connection would be "
                   "plain text; listen on unix:PATH or 127.0.0.1:PORT, or say --insecure"));
}

}  // namespace bitquake
