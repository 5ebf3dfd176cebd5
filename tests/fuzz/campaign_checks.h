// What holds of any campaign that was accepted.
#pragma once

#include "absl/status/status.h"
#include "common/campaign/campaign.h"

namespace bitquake {

// The resolved campaign is accepted and says the same.
void MustSurviveJson(const Campaign& campaign);

// Expands it on a small network as the coordinator does, as far as `most_cells`: cells, or an
// error.
void Expand(const Campaign& campaign, int64_t most_cells);

// Of a campaign that was not: an error that people can read.
void MustBeReadable(const absl::Status& refusal);

}  // namespace bitquake
