#include "client/cli/find_campaign.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace bitquake {

absl::StatusOr<std::string> FindCampaign(Client& client, const std::string& text) {
  const absl::StatusOr<CampaignStatus> exact = client.Get(text);
  if (exact.ok()) {
    return exact->id;
  }
  if (!absl::IsNotFound(exact.status())) {
    return exact.status();
  }
  ASSIGN_OR_RETURN(const std::vector<CampaignStatus> campaigns, client.List());
  std::vector<std::string> fitting;
  std::vector<std::string> known;
  for (const CampaignStatus& campaign : campaigns) {
    if (!text.empty() && (campaign.name == text || absl::StartsWith(campaign.id, text))) {
      fitting.push_back(campaign.id);
    }
    known.push_back(campaign.id);
    known.push_back(campaign.name);
  }
  if (fitting.size() == 1) {
    return fitting[0];
  }
  if (fitting.size() > 1) {
    constexpr size_t kFew = 5;
    const size_t more = fitting.size() - std::min(fitting.size(), kFew);
    fitting.resize(fitting.size() - more);
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' could be ", absl::StrJoin(fitting, " or "),
                     more > 0 ? absl::StrCat(" or ", more, " more") : "", "; give the whole ID"));
  }
  return absl::NotFoundError(absl::StrCat("the server has no campaign '", text, "'",
                                          DidYouMean(text, known),
                                          "; `bitquake list` shows those that it has"));
}

absl::StatusOr<std::string> FindCampaignOrRun(Client& client, const std::string& text) {
  std::error_code error;
  if (std::filesystem::exists(text, error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        text,
        " is no run directory: it holds no run.json; give the folder that `bitquake run` "
        "made, or a campaign's ID"));
  }
  absl::StatusOr<std::string> id = FindCampaign(client, text);
  return id.ok() ? id
                 : Annotate(id.status(),
                            absl::StrCat("'", text, "' is no run directory; as a campaign"));
}

}  // namespace bitquake
