#include "client/cli/protect_confirm.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/campaign_store.h"
#include "client/cli/child_process.h"
#include "client/cli/fleet.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

// What a campaign's `protect` says of a part.
void AddProtected(const ProtectedPart& part, const Campaign& campaign, const NumberFormat& format,
                  std::vector<FaultModel::Protected>* protect) {
  FaultModel::Protected entry;
  entry.target = part.target;
  if (part.granularity == "regex") {
    for (const Granularity& granularity : campaign.granularities) {
      if (granularity.kind == Granularity::Kind::kRegex &&
          part.target == (granularity.name.empty() ? granularity.pattern : granularity.name)) {
        entry = {"", granularity.pattern, 0};
      }
    }
  }
  const auto count = static_cast<int>(part.positions.size());
  const bool on_top = count == 0 || part.positions.back() == format.bits - count;
  if (on_top) {
    entry.top = count;
    protect->push_back(entry);
    return;
  }
  // The fault model spares bits above these; `top` would count them.
  for (const int position : part.positions) {
    protect->push_back({part.target == "model" ? absl::StrCat("bit", position)
                                               : absl::StrCat(part.target, ".bit", position),
                        "", 0});
  }
}

absl::Status CheckEnded(const CampaignStatus& status) {
  if (status.state == "done" && status.jobs_poisoned == 0) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the confirming campaign ", status.id, " is ", status.state, " with ", status.jobs_poisoned,
      " poisoned jobs", status.error.empty() ? "" : ": ", status.error));
}

}  // namespace

absl::StatusOr<Campaign> ConfirmingCampaign(const Campaign& campaign, const ProtectionPlan& plan,
                                            size_t set, uint64_t seed) {
  constexpr size_t kMaxName = 64;
  constexpr char kSuffix[] = "-protect";
  const ProtectionQuestion& question = plan.question();
  ASSIGN_OR_RETURN(const NumberFormat format, NumberFormat::FromName(question.format));
  ASSIGN_OR_RETURN(const FaultModel* fault, FindFault(campaign, question.fault));
  Campaign confirming = campaign;
  confirming.name = absl::StrCat(campaign.name.substr(0, kMaxName - sizeof(kSuffix) + 1), kSuffix);
  confirming.seed = seed;
  confirming.models = {question.model};
  confirming.formats = {format};
  confirming.granularities = {Granularity{}};
  confirming.faults = {*fault};
  for (const ProtectedPart& part : plan.parts(set)) {
    AddProtected(part, campaign, format, &confirming.faults[0].protect);
  }
  confirming.ber = {question.ber};
  confirming.search.reset();
  confirming.keep_images = false;
  confirming.attention_distance = Campaign::AttentionDistance::kNone;
  return confirming;
}

Campaign WithPaths(Campaign campaign, const RunState& state) {
  for (std::string& model : campaign.models) {
    const auto place = state.models.find(model);
    model = place == state.models.end() ? model : place->second;
  }
  campaign.dataset = state.dataset_folder;
  return campaign;
}

CampaignRunner LocalRunner(const RunDirectory& run, const std::string& folder) {
  const RunState state = run.state();
  auto number = std::make_shared<int>(0);
  return [state, folder, number](const Campaign& named) -> absl::StatusOr<std::vector<CellResult>> {
    std::error_code error;
    fs::create_directories(folder, error);
    std::string stem;
    do {  // past those of an earlier call
      stem = absl::StrCat(folder, "/confirm-", ++*number);
    } while (fs::exists(stem, error));
    RETURN_IF_ERROR(WriteFileAtomically(stem + ".yaml", ToJson(WithPaths(named, state))));
    ASSIGN_OR_RETURN(const std::string self, SisterProgram("bitquake"));
    std::vector<std::string> arguments = {"run",      stem + ".yaml", "--out",
                                          stem,       "--workers",    absl::StrCat(state.workers),
                                          "--device", state.device};
    if (state.allow_torchscript) {
      arguments.push_back("--allow-torchscript");
    }
    RETURN_IF_ERROR(RunToEnd(self, arguments, stem + ".log", /*quiet=*/true));
    ASSIGN_OR_RETURN(RunDirectory confirmed, RunDirectory::Open(stem));
    std::vector<CellResult> cells;
    RETURN_IF_ERROR(AskRun(confirmed, [&](Client& client, const std::string& id) -> absl::Status {
      ASSIGN_OR_RETURN(CampaignResults results, client.Results(id));
      RETURN_IF_ERROR(CheckEnded(results.status));
      cells = std::move(results.cells);
      return absl::OkStatus();
    }));
    return cells;
  };
}

CampaignRunner RemoteRunner(const Session& session) {
  return [&session](const Campaign& campaign) -> absl::StatusOr<std::vector<CellResult>> {
    const std::unique_ptr<Client> client = session.Connect();
    ASSIGN_OR_RETURN(const std::string id, client->Submit(ToJson(campaign), "confirming campaign"));
    RETURN_IF_ERROR(client->Watch(id, [](const CampaignStatus&) {}));
    ASSIGN_OR_RETURN(CampaignResults results, client->Results(id));
    RETURN_IF_ERROR(CheckEnded(results.status));
    return std::move(results.cells);
  };
}

}  // namespace bitquake
