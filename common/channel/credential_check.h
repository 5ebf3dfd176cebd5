// Looks through the files that make up one's credentials, before a server refuses them.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/channel/connection_options.h"

namespace bitquake {

struct CredentialFinding {
  std::string what;  // "--tls-key"
  std::string path;  // empty: from the environment
  bool good = false;
  std::string text;  // "of bob, role viewer, until 2027-01-31 (62 days)", or what is wrong
};

// A finding for each of --tls-ca, --tls-cert, --tls-key and the token that is given: whether it can
// be read, is what it should be, has not expired at `now`, and is kept from other users.
std::vector<CredentialFinding> CheckCredentials(const ConnectionOptions& options, absl::Time now);

}  // namespace bitquake
