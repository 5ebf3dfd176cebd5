#include "client/cli/campaign_store.h"

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/find_campaign.h"
#include "client/cli/fleet.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

absl::Status AskOnly(Client& client, const RunDirectory& run, const Ask& ask) {
  ASSIGN_OR_RETURN(const std::vector<CampaignStatus> campaigns, client.List());
  if (campaigns.size() != 1) {
    return absl::NotFoundError(
        absl::StrCat(run.database(), " holds ", campaigns.size(), " campaigns, not one"));
  }
  return ask(client, campaigns[0].id);
}

}  // namespace

bool IsRunDirectory(const std::string& campaign) {
  std::error_code error;
  return fs::exists(fs::path(campaign) / "run.json", error);
}

absl::Status AskRun(RunDirectory& run, const Ask& ask) {
  ASSIGN_OR_RETURN(const std::string address, run.SocketAddress());
  const absl::Status asked = AskOnly(*Client::Connect(address), run, ask);
  if (!absl::IsUnavailable(asked)) {
    return asked;
  }
  if (!fs::exists(run.database())) {
    return absl::NotFoundError(absl::StrCat(run.database(), ": no such file"));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> server, StartServer(run, address, {}, {}));
  return AskOnly(*Client::Connect(address, {absl::Minutes(1)}), run, ask);
}

absl::StatusOr<CampaignResults> FetchResults(const std::string& campaign, bool details,
                                             const Session& session) {
  if (!IsRunDirectory(campaign)) {
    const std::unique_ptr<Client> client = session.Connect();
    ASSIGN_OR_RETURN(const std::string id, FindCampaignOrRun(*client, campaign));
    return client->Results(id, details);
  }
  ASSIGN_OR_RETURN(RunDirectory run, RunDirectory::Open(campaign));
  CampaignResults results;
  RETURN_IF_ERROR(AskRun(run, [&](Client& client, const std::string& id) -> absl::Status {
    ASSIGN_OR_RETURN(results, client.Results(id, details));
    return absl::OkStatus();
  }));
  results.of_run_directory = true;
  return results;
}

}  // namespace bitquake
