#include "client/cli/campaign_file.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/fault/fault_list.h"
#include "common/fault/target.h"
#include "common/model/snapshot.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::string> FindFolder(const std::string& name, const fs::path& beside,
                                       const std::vector<std::string>& roots,
                                       const std::string& what, const std::string& flag) {
  std::vector<fs::path> places;
  if (fs::path(name).is_absolute()) {
    places.push_back(name);
  } else {
    places.push_back(beside / name);
    for (const std::string& root : roots) {
      places.push_back(fs::path(root) / name);
    }
  }
  std::error_code error;
  for (const fs::path& place : places) {
    if (fs::is_directory(place, error)) {
      fs::path folder = fs::canonical(place, error);
      return folder.string();
    }
  }
  std::vector<std::string> present;
  for (const fs::path& place : places) {
    for (const auto& entry : fs::directory_iterator(place.parent_path(), error)) {
      present.push_back(entry.path().filename().string());
    }
  }
  const std::string tried = absl::StrJoin(places, ", ", [](std::string* out, const fs::path& p) {
    absl::StrAppend(out, p.lexically_normal().string());
  });
  return absl::NotFoundError(absl::StrCat(what, " '", name, "' not found (looked for ", tried, ")",
                                          DidYouMean(fs::path(name).filename().string(), present),
                                          "; give a path, or the folder above it with ", flag));
}

// Errors if a target matches nothing in the model.
absl::StatusOr<int64_t> CellsOfModel(const Campaign& campaign, const std::string& name,
                                     const std::string& folder) {
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(folder));
  const absl::StatusOr<Surface> surface =
      MakeSurface(snapshot.architecture, snapshot.Tensors(), campaign.surface);
  if (!surface.ok()) {
    return Annotate(surface.status(), absl::StrCat("surface: model '", name, "'"));
  }
  size_t cells = 0;
  for (const NumberFormat& format : campaign.formats) {
    for (const Granularity& granularity : campaign.granularities) {
      const absl::StatusOr<std::vector<Target>> targets =
          ExpandTargets(*surface, granularity, format);
      if (!targets.ok()) {
        return Annotate(targets.status(), absl::StrCat("granularities: model '", name, "'"));
      }
      const absl::Status faults = CheckFaults(*surface, *targets, campaign.fault, format);
      if (!faults.ok()) {
        return Annotate(faults, absl::StrCat("fault: model '", name, "'"));
      }
      const std::vector<double>& rates = granularity.ber.empty() ? campaign.ber : granularity.ber;
      cells += targets->size() * rates.size();
    }
  }
  return static_cast<int64_t>(cells);
}

absl::StatusOr<LocalCampaign> Resolve(const CampaignFile& file,
                                      const std::vector<std::string>& model_roots,
                                      const std::vector<std::string>& data_roots) {
  const fs::path beside = fs::absolute(file.path).parent_path();
  LocalCampaign local;
  local.campaign = file.campaign;
  for (std::string& name : local.campaign.models) {
    ASSIGN_OR_RETURN(const std::string folder,
                     FindFolder(name, beside, model_roots, "model", "--model-root"));
    const std::string plain = fs::path(folder).filename().string();
    RETURN_IF_ERROR(CheckPlainName(plain));
    const auto [place, added] = local.models.emplace(plain, folder);
    if (!added) {
      return absl::InvalidArgumentError(
          absl::StrCat("models: ", folder, " and ", place->second,
                       " have the same name; rename one of the folders"));
    }
    name = plain;
    RETURN_IF_ERROR(CellsOfModel(local.campaign, plain, folder).status());
  }
  ASSIGN_OR_RETURN(local.dataset_folder, FindFolder(local.campaign.dataset, beside, data_roots,
                                                    "data set", "--data-root"));
  local.campaign.dataset = fs::path(local.dataset_folder).filename().string();
  RETURN_IF_ERROR(CheckPlainName(local.campaign.dataset));
  return local;
}

}  // namespace

absl::StatusOr<CampaignFile> ReadCampaignFile(const std::string& path) {
  CampaignFile file;
  file.path = path;
  absl::StatusOr<std::string> text = ReadFile(path, kMaxCampaignFileBytes);
  if (!text.ok()) {
    return absl::InvalidArgumentError(text.status().message());
  }
  file.text = *std::move(text);
  ASSIGN_OR_RETURN(file.campaign, ParseCampaign(file.text, path));
  return file;
}

absl::StatusOr<std::vector<ModelCells>> CountCells(const CampaignFile& file,
                                                   const std::vector<std::string>& model_roots) {
  const fs::path beside = fs::absolute(file.path).parent_path();
  std::vector<ModelCells> counted;
  for (const std::string& name : file.campaign.models) {
    const absl::StatusOr<std::string> folder =
        FindFolder(name, beside, model_roots, "model", "--model-root");
    counted.push_back({name, std::nullopt});
    if (!folder.ok()) {
      continue;
    }
    const absl::StatusOr<int64_t> cells = CellsOfModel(file.campaign, name, *folder);
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
