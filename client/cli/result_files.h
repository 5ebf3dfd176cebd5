// The files that a campaign leaves: cells.csv, trials.csv, thresholds.csv, campaign.json,
// report.html; images.csv and folds.csv of one that keeps images, mad.csv of one that measures
// attention distance, mad_vf.csv if it also hits heads, bits.csv of one that hits bit positions
// apart.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/api/client.h"
#include "common/report/results.h"

namespace bitquake {

// campaign.json: the resolved campaign, versions, digests, devices, golden accuracies.
std::string CampaignJson(const CampaignResults& results);

// Writes the files into `folder`, each whole or not at all, and removes those that the campaign had
// there and has no more; returns their names. Errors: InvalidArgument if the folder holds another
// campaign's.
absl::StatusOr<std::vector<std::string>> WriteResultFiles(const std::string& folder,
                                                          const CampaignResults& results);

// By the campaign's seed and confidence, and for the losses that it searches, if it does.
Derivation DerivationOf(const CampaignResults& results);

// All that a campaign found as text for a terminal: accuracies without faults, cells; then what
// there is of thresholds, ranks, bit positions and MAD against VF.
absl::StatusOr<std::string> ResultTables(const CampaignResults& results);

}  // namespace bitquake
