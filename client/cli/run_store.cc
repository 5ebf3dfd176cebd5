#include "client/cli/run_store.h"

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/child_process.h"
#include "client/cli/fleet.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

absl::Status AskOnlyCampaign(Client& client, const RunDirectory& run,
                             const std::function<absl::Status(Client&, const std::string&)>& ask) {
  ASSIGN_OR_RETURN(const std::vector<CampaignStatus> campaigns, client.List());
  if (campaigns.size() != 1) {
    return absl::NotFoundError(
        absl::StrCat(run.database(), " holds ", campaigns.size(), " campaigns, not one"));
  }
  return ask(client, campaigns[0].id);
}

}  // namespace

bool IsRunDirectory(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::path(path) / "run.json", error);
}

absl::Status AskRun(RunDirectory& run,
                    const std::function<absl::Status(Client&, const std::string& id)>& ask) {
  ASSIGN_OR_RETURN(const std::string address, run.SocketAddress());
  const std::unique_ptr<Client> client = Client::Connect(address);
  const absl::Status status = AskOnlyCampaign(*client, run, ask);
  if (!absl::IsUnavailable(status)) {
    return status;
  }
  if (!fs::exists(run.database())) {
    return absl::NotFoundError(absl::StrCat(run.database(), ": no such file"));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> server,
                   StartServer(
                       run, address, {}, [](const std::string&) {}, [](const absl::Status&) {}));
  const std::unique_ptr<Client> own = Client::Connect(address, {absl::Minutes(1)});
  return AskOnlyCampaign(*own, run, ask);
}

}  // namespace bitquake
