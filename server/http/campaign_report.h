// A campaign's report from the coordinator's store.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/report/page/campaign_report.h"
#include "server/scheduler/work.h"

namespace bitquake {

// As the store is now, on a read-only connection of its own. Errors: NotFound, and those of reading
// the store.
absl::StatusOr<CampaignReport> ReadReport(const std::string& database,
                                          const CampaignSnapshot& snapshot);

}  // namespace bitquake
