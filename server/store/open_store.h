// How a server takes up a store.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "server/store/database.h"

namespace bitquake {

// Opens or makes the store at `path`, looks for damage in a bounded time, and brings it to this
// program's schema. The caller holds its lock. Errors: FailedPrecondition for a network file
// system, a newer schema, or a file of something else; DataLoss, with the remedy, for a damaged
// file; those of Database::Open.
absl::StatusOr<Database> OpenStore(const std::string& path, const Clock& clock);

}  // namespace bitquake
