// Whether a store is what it was when it was written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/store/database.h"

namespace bitquake {

// All that is wrong, a sentence each (of one kind at most 100); empty if nothing is. Looks at every
// page and row: SQLite's integrity check, foreign keys, the digest of each row, and that what is
// counted equals what there is. `db` may be a reader beside a running server. Errors:
// FailedPrecondition if the schema is not this program's; those of reading.
absl::StatusOr<std::vector<std::string>> CheckStore(Database& db);

// Whether what results of a campaign are made of is as it was written: its rows by their digests,
// and the sums of each trial by its outcomes. Errors: DataLoss, naming the first that is not.
absl::Status CheckMeasured(Database& db, const std::string& campaign);

// The same of the rows of one trial. `cell` is the cell's id.
absl::Status CheckTrial(Database& db, const std::string& campaign, int64_t cell, uint32_t trial);

// The part of it that holds for any SQLite file: its pages, its indexes, the types of its values.
absl::StatusOr<std::vector<std::string>> CheckPages(Database& db);

// Before a server works on a store: DataLoss, with the remedy, for what is found in `budget` and a
// moment; a large store is not looked at whole. `db` may be of any schema.
absl::Status QuickCheck(Database& db, absl::Duration budget, const Clock& clock);

}  // namespace bitquake
