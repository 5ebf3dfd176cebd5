// Errors that say what, where, and what to do.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// "where: message", the code unchanged; OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view where);

// "what: strerror(errno)" with the code that errno stands for.
absl::Status ErrnoStatus(absl::string_view what);

}  // namespace bitquake
