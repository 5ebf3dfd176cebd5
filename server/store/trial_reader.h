// One trial as it is stored.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/report/trial_record.h"
#include "server/store/database.h"

namespace bitquake {

// `cell` is a number in the campaign's order, from 0. A trial that was not begun is one that is not
// finished. Errors: NotFound if there is no such campaign; InvalidArgument for a cell that it does
// not have, with the range; DataLoss for rows that are not as they were written, or a bitmap that
// is not one of its fold.
absl::StatusOr<TrialRecord> ReadTrial(Database& db, const std::string& campaign, int64_t cell,
                                      uint32_t trial);

}  // namespace bitquake
