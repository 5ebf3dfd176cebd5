// The schema of the store, as forward migrations from version 1.
#pragma once

#include "absl/status/status.h"
#include "server/store/database.h"

namespace bitquake {

// The version that this program writes.
int SchemaVersion();

// Brings the store to SchemaVersion(), each step in a transaction of its own. Errors:
// FailedPrecondition if the file is newer than the program, or is a database of something else.
absl::Status Migrate(Database& db);

}  // namespace bitquake
