// The files that a campaign leaves: cells.csv, trials.csv, campaign.json; images.csv and folds.csv
// of one that keeps images, mad.csv of one that measures attention distance.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/api/client.h"

namespace bitquake {

// campaign.json: the resolved campaign, versions, digests, devices, golden accuracies.
std::string CampaignJson(const CampaignResults& results);

// Writes the files into `folder`, each whole or not at all.
absl::Status WriteResultFiles(const std::string& folder, const CampaignResults& results);

// Golden accuracies as lines for a terminal.
std::string GoldenTable(const CampaignResults& results);

}  // namespace bitquake
