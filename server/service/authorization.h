// Who may call what: one table of every call and every role. A call that is not in it is refused.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/service/authenticator.h"

namespace bitquake {

// `path` is gRPC's: "/bitquake.v1.CampaignService/Submit". `caller` is who calls, or why that is
// not known. Errors: `caller`'s, unless anybody may call; PermissionDenied.
absl::Status Authorize(absl::string_view path, const absl::StatusOr<Identity>& caller);

// Every call of the table, as a path.
std::vector<std::string> AuthorizedCalls();

// The table as the README has it, in Markdown.
std::string AuthorizationTable();

}  // namespace bitquake
