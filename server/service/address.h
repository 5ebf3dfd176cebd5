// Where the server may listen.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// OK for "unix:PATH" and for loopback ("127.0.0.1:0", "localhost:50051", "[::1]:50051"). Errors:
// InvalidArgument for anything else, saying what is allowed.
absl::Status CheckPlainTextAddress(absl::string_view address);

// A Unix socket is as safe as its folder: FailedPrecondition if others may put a socket of theirs
// in its place (the folder is writable by all), NotFound if there is no such folder. OK for other
// addresses.
absl::Status CheckSocketFolder(absl::string_view address);

// Takes the rights of all but owner and group off the socket that was bound.
absl::Status RestrictSocket(absl::string_view address);

// gRPC takes a Unix socket over from whoever listens on it. FailedPrecondition if somebody does; OK
// for other addresses, whose ports the system guards.
absl::Status CheckNobodyListens(absl::string_view address);

}  // namespace bitquake
