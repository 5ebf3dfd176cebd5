// The report of a campaign, as a page.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/api/client.h"

namespace bitquake {

// report.html (common/report/page/page.h). Errors: those of ReportPage.
absl::StatusOr<std::string> ReportHtml(const CampaignResults& results);

}  // namespace bitquake
