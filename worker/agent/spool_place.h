// Where a worker's spool lies, and so what the worker's name is after a restart.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/agent/spool.h"

namespace bitquake {

struct SpoolPlace {
  std::string folder;  // given by whoever starts the worker; empty: chosen here
  std::string id;      // likewise
  std::string device;  // "cpu", "cuda:1"
  int64_t most_bytes = SpoolOptions().most_bytes;
};

// Opens it. By default it lies in $XDG_STATE_HOME/bitquake/worker (~/.local/state/bitquake/worker),
// in a folder named by the id; without an id by host and device, the first that no other worker
// has. Errors: Spool::Open's.
absl::StatusOr<std::unique_ptr<Spool>> OpenSpool(const SpoolPlace& place);

// The id that was given, or the one that the spool was last used with, or a new one.
std::string WorkerId(const SpoolPlace& place, const Spool& spool);

}  // namespace bitquake
