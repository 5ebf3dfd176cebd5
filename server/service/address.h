// Where the server may listen in plain text.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// OK for "unix:PATH" and for loopback ("127.0.0.1:0", "localhost:50051", "[::1]:50051"). Errors:
// InvalidArgument for anything else, saying what is allowed.
absl::Status CheckPlainTextAddress(absl::string_view address);

}  // namespace bitquake
