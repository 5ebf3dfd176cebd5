// A copy of the store that stands by itself, and the way back.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace bitquake {

// Copies the store at `database` as it is at one moment to the new file `file`, and checks the
// copy's pages. A server may work on the store meanwhile, of this process or another. The copy is
// one file without a WAL. It is there whole and synced, or not at all. Errors: NotFound;
// AlreadyExists if `file` does; those of reading and writing; DataLoss if the copy is damaged,
// because the store is.
absl::Status Backup(const std::string& database, const std::string& file);

// Makes a new store at `database` of the backup (or the store) at `file`, whose schema may be
// older. The caller holds the lock of `database`. It has an identity of its own: leases that the
// backup knew have ended, and its jobs and leases begin with numbers that no store has given away
// after the backup, so that what is reported of those hits nothing here. Errors: AlreadyExists if
// there is a store at `database`, or a WAL of one; DataLoss with what CheckStore finds in the
// backup; FailedPrecondition as of Migrate; those of reading and writing. After an error nothing
// is at `database`.
absl::Status Restore(const std::string& file, const std::string& database);

}  // namespace bitquake
