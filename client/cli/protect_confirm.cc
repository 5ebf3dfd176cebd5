#include "client/cli/protect_confirm.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/child_process.h"
#include "client/cli/fleet.h"
#include "client/cli/run_store.h"
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
    const std::string stem = absl::StrCat(folder, "/confirm-", ++*number);
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

namespace {

// Measures sets, each once.
class Search {
 public:
  Search(const ProtectionPlan& plan, const HoldingLoss& wanted, int64_t most,
         const std::function<absl::StatusOr<CellResult>(size_t)>& measure)
      : plan_(plan), wanted_(wanted), most_(most), measure_(measure) {}

  absl::StatusOr<Confirmation> Run() {
    const size_t last = plan_.sets() - 1;
    // The set without protection did not hold: that is known from the campaign.
    size_t low = 0;
    size_t high = SmallestPredicted(plan_, wanted_.limit);
    ASSIGN_OR_RETURN(bool holds, Holding(high));
    for (size_t stride = 1; !holds; stride *= 2) {
      low = high;
      high = std::min(high + stride, last);
      ASSIGN_OR_RETURN(holds, Holding(high));
    }
    for (size_t stride = 1; low == 0 && high > 1 && !Spent(); stride *= 2) {
      const size_t below = high - std::min(stride, high - 1);
      ASSIGN_OR_RETURN(holds, Holding(below));
      (holds ? high : low) = below;
    }
    while (high - low > 1 && !Spent()) {
      const size_t middle = low + (high - low) / 2;
      ASSIGN_OR_RETURN(holds, Holding(middle));
      (holds ? high : low) = middle;
    }
    const Measured& found = measured_.at(high);
    return Confirmation{high, found.loss, found.trials, campaigns_, high - low == 1};
  }

 private:
  struct Measured {
    Loss loss;
    int64_t trials;
  };

  bool Spent() const { return campaigns_ >= most_; }

  absl::StatusOr<bool> Holding(size_t set) {
    if (measured_.count(set) == 0) {
      if (set == plan_.sets() - 1) {  // nothing can be hit
        measured_[set] = {{0, {0, 0}}, 0};
      } else {
        ASSIGN_OR_RETURN(measured_[set], Measure(set));
      }
    }
    return Holds(measured_[set].loss, wanted_.limit, wanted_.surely);
  }

  absl::StatusOr<Measured> Measure(size_t set) {
    if (Spent()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("after ", campaigns_,
                       " confirming campaigns no set was found to hold; give "
                       "more by --max-campaigns"));
    }
    ++campaigns_;
    ASSIGN_OR_RETURN(const CellResult cell, measure_(set));
    if (cell.bits != plan_.model_bits() - plan_.bits(set)) {
      return absl::InternalError(absl::StrCat(
          "the confirming campaign hit ", cell.bits, " bits, not the ",
          plan_.model_bits() - plan_.bits(set), " that are not protected: the targets overlap"));
    }
    ASSIGN_OR_RETURN(const Loss loss, LossOf(cell));
    return Measured{loss, static_cast<int64_t>(cell.trials.size())};
  }

  const ProtectionPlan& plan_;
  const HoldingLoss wanted_;
  const int64_t most_;
  const std::function<absl::StatusOr<CellResult>(size_t)>& measure_;
  std::map<size_t, Measured> measured_;
  int64_t campaigns_ = 0;
};

}  // namespace

absl::StatusOr<Confirmation> Confirm(
    const ProtectionPlan& plan, const HoldingLoss& wanted, int64_t most,
    const std::function<absl::StatusOr<CellResult>(size_t set)>& measure) {
  return Search(plan, wanted, most, measure).Run();
}

}  // namespace bitquake
