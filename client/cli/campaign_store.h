// The campaign of a run directory, asked as a coordinator's is.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "client/api/client.h"
#include "client/cli/command.h"
#include "client/cli/run_directory.h"

namespace bitquake {

// Whether a campaign is named by a run directory rather than by a coordinator's ID.
bool IsRunDirectory(const std::string& campaign);

// Calls `ask` with the run's only campaign: on the coordinator of a run that is going on, else on
// one of our own on its store, which ends with this call. Errors: NotFound without a store, or with
// other than one campaign in it; those of `ask`.
using Ask = std::function<absl::Status(Client& client, const std::string& id)>;
absl::Status AskRun(RunDirectory& run, const Ask& ask);

// The results so far of a campaign: of a run directory, or by its ID of the session's coordinator.
// `details`: also what it kept of single images and heads. Errors: those of AskRun and of
// Client::Results.
absl::StatusOr<CampaignResults> FetchResults(const std::string& campaign, bool details,
                                             const Session& session);

}  // namespace bitquake
