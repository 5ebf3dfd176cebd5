#include "client/cli/campaign_file.h"

#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/cli/find_folder.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/campaign/cell_rates.h"
#include "common/campaign/fault_csv.h"
#include "common/fault/target.h"
#include "common/model/attention_distance.h"
#include "common/model/snapshot.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

// The cells of a model in one format under one fault model. Errors if a target matches nothing, or
// the faults do not fit.
absl::StatusOr<CellCount> CellsInFormat(const Campaign& campaign, const FaultModel& fault,
                                        const std::string& model, const Surface& surface,
                                        const NumberFormat& format) {
  const auto in = [&model](const absl::Status& status, absl::string_view field) {
    return Annotate(status, absl::StrCat(field, ": model '", model, "'"));
  };
  const absl::StatusOr<CellRates> cell_rates = CellRates::Make(campaign, fault, surface, format);
  if (!cell_rates.ok()) {
    return in(cell_rates.status(), "fault");
  }
  CellCount cells;
  for (const Granularity& granularity : campaign.granularities) {
    const absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, format);
    if (!targets.ok()) {
      return in(targets.status(), "granularities");
    }
    for (const Target& target : *targets) {
      const absl::StatusOr<std::vector<double>> rates = cell_rates->Of(granularity, target);
      if (!rates.ok()) {
        return in(rates.status(), "fault");
      }
      if (IsSearched(campaign, fault, granularity)) {
        ++cells.searched;
      } else {
        cells.stated += static_cast<int64_t>(rates->size());
      }
    }
  }
  return cells;
}

absl::StatusOr<CellCount> CellsOfModel(const Campaign& campaign, const std::string& name,
                                       const std::string& folder) {
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(folder));
  const absl::StatusOr<Surface> surface =
      MakeSurface(snapshot.architecture, snapshot.Tensors(), campaign.surface);
  if (!surface.ok()) {
    return Annotate(surface.status(), absl::StrCat("surface: model '", name, "'"));
  }
  if (campaign.attention_distance != Campaign::AttentionDistance::kNone) {
    const absl::Status defined = FindPatchAttention(snapshot.architecture).status();
    if (!defined.ok()) {
      return Annotate(defined, absl::StrCat("attention_distance: model '", name, "'"));
    }
  }
  CellCount cells;
  for (const NumberFormat& format : campaign.formats) {
    for (const FaultModel& fault : campaign.faults) {
      ASSIGN_OR_RETURN(const CellCount in_format,
                       CellsInFormat(campaign, fault, name, *surface, format));
      cells.Add(in_format);
    }
  }
  return cells;
}

// A run directory keeps the path as JSON.
absl::Status CheckUtf8(const std::string& path) {
  try {
    nlohmann::json(path).dump();
    return absl::OkStatus();
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path ", absl::CHexEscape(path), " is not UTF-8; rename the folder"));
  }
}

absl::StatusOr<LocalCampaign> Resolve(const CampaignFile& file,
                                      const std::vector<std::string>& model_roots,
                                      const std::vector<std::string>& data_roots) {
  const fs::path beside = fs::absolute(file.path).parent_path();
  LocalCampaign local;
  local.campaign = file.campaign;
  for (std::string& name : local.campaign.models) {
    ASSIGN_OR_RETURN(const std::string folder,
                     FindFolder(name, beside.string(), model_roots, "model", "--model-root"));
    RETURN_IF_ERROR(CheckUtf8(folder));
    const std::string plain = fs::path(folder).filename().string();
    RETURN_IF_ERROR(CheckPlainName(plain));
    const auto [place, added] = local.models.emplace(plain, folder);
    if (!added) {
      return absl::InvalidArgumentError(
          absl::StrCat("models: ", folder, " and ", place->second,
                       " have the same name; rename one of the folders"));
    }
    name = plain;
    ASSIGN_OR_RETURN(const CellCount cells, CellsOfModel(local.campaign, plain, folder));
    local.cells.Add(cells);
  }
  ASSIGN_OR_RETURN(local.dataset_folder, FindFolder(local.campaign.dataset, beside.string(),
                                                    data_roots, "data set", "--data-root"));
  RETURN_IF_ERROR(CheckUtf8(local.dataset_folder));
  local.campaign.dataset = fs::path(local.dataset_folder).filename().string();
  RETURN_IF_ERROR(CheckPlainName(local.campaign.dataset));
  return local;
}

}  // namespace

void CellCount::Add(const CellCount& other) {
  stated += other.stated;
  searched += other.searched;
}

std::string FindDataset(const CampaignFile& file, const std::vector<std::string>& data_roots) {
  return FindFolder(file.campaign.dataset, fs::absolute(file.path).parent_path().string(),
                    data_roots, "data set", "--data-root")
      .value_or("");
}

absl::StatusOr<CampaignFile> ReadCampaignFile(const std::string& path) {
  CampaignFile file;
  file.path = path;
  absl::StatusOr<std::string> text = ReadFile(path, kMaxCampaignFileBytes);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(text.status().message(), "; give the path of a campaign file"));
  }
  file.text = *std::move(text);
  bool read_faults = false;
  const auto read = [&](const std::string& name) {
    read_faults = true;
    return ReadFile((fs::absolute(path).parent_path() / name).string(), kMaxFaultCsvBytes);
  };
  ASSIGN_OR_RETURN(file.campaign, ParseCampaign(file.text, path, read));
  file.to_submit = read_faults ? ToJson(file.campaign) : file.text;
  return file;
}

absl::StatusOr<std::vector<ModelCells>> CountCells(const CampaignFile& file,
                                                   const std::vector<std::string>& model_roots) {
  const fs::path beside = fs::absolute(file.path).parent_path();
  std::vector<ModelCells> counted;
  for (const std::string& name : file.campaign.models) {
    const absl::StatusOr<std::string> folder =
        FindFolder(name, beside.string(), model_roots, "model", "--model-root");
    counted.push_back({name, std::nullopt});
    if (!folder.ok()) {
      continue;
    }
    const absl::StatusOr<CellCount> cells = CellsOfModel(file.campaign, name, *folder);
    if (!cells.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file.path, ": ", cells.status().message()));
    }
    counted.back().cells = *cells;
  }
  return counted;
}

absl::StatusOr<LocalCampaign> ResolveLocally(const CampaignFile& file,
                                             const std::vector<std::string>& model_roots,
                                             const std::vector<std::string>& data_roots) {
  absl::StatusOr<LocalCampaign> local = Resolve(file, model_roots, data_roots);
  if (!local.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, ": ", local.status().message()));
  }
  return local;
}

}  // namespace bitquake
