// Campaigns that confirm a set of protected bits: they hit the whole model but for these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/cli/run_directory.h"
#include "common/campaign/campaign.h"
#include "common/report/protection_plan.h"
#include "common/report/results.h"

namespace bitquake {

// The campaign whose only cell is the model at the plan's rate without the bits of a set. It has
// the other's model, format, fault model, trials and images, and faults of its own: those that the
// set was chosen by would flatter it.
absl::StatusOr<Campaign> ConfirmingCampaign(const Campaign& campaign, const ProtectionPlan& plan,
                                            size_t set, uint64_t seed);

// The same campaign, its names replaced by the folders of a run.
Campaign WithPaths(Campaign campaign, const RunState& state);

// Runs a campaign to its end and returns its cells.
using CampaignRunner =
    std::function<absl::StatusOr<std::vector<CellResult>>(const Campaign& campaign)>;

// Runs each in a run directory of its own below `folder`, beside its file, with the workers of
// `run` and its models and data.
CampaignRunner LocalRunner(const RunDirectory& run, const std::string& folder);
// Submits each to the session's coordinator and waits.
CampaignRunner RemoteRunner(const Session& session);

}  // namespace bitquake
