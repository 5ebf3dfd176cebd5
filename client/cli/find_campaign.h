// Which of a coordinator's campaigns a person means.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/api/client.h"

namespace bitquake {

// The ID of the campaign that `text` names: its ID, the beginning of one, or a campaign's name.
// Errors: InvalidArgument if it fits several, which are listed; NotFound with the nearest ones;
// those of the client.
absl::StatusOr<std::string> FindCampaign(Client& client, const std::string& text);

// The same, for a command that also takes run directories, of which `text` is none.
absl::StatusOr<std::string> FindCampaignOrRun(Client& client, const std::string& text);

}  // namespace bitquake
