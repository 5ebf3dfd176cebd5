#include "common/base/status.h"

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace bitquake {

absl::Status Annotate(const absl::Status& status, absl::string_view where) {
  if (status.ok()) {
    return status;
  }
  return absl::Status(status.code(), absl::StrCat(where, ": ", status.message()));
}

absl::Status ErrnoStatus(absl::string_view what) { return absl::ErrnoToStatus(errno, what); }

}  // namespace bitquake
