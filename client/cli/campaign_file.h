// A campaign file as a command of the client finds it: read, parsed, its names resolved to folders.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"

namespace bitquake {

struct CampaignFile {
  std::string path;
  std::string text;
  Campaign campaign;
  // What a coordinator takes, which opens no files: the text; or if that names a file of faults,
  // the resolved campaign, the faults in it.
  std::string to_submit;
};

// Reads also the file of faults that the campaign may name, relative to its own.
absl::StatusOr<CampaignFile> ReadCampaignFile(const std::string& path);

// The cells of some models of a campaign, in all formats.
struct CellCount {
  int64_t stated = 0;    // targets x rates
  int64_t searched = 0;  // targets whose rates are searched for

  void Add(const CellCount& other);
};

// The cells of each model of a campaign; none for models that are not on this machine.
struct ModelCells {
  std::string model;
  std::optional<CellCount> cells;
};

// Looks for the models beside the file and below the roots. Errors: InvalidArgument, the file
// named: a model that is here and broken, or a target that matches nothing in it.
absl::StatusOr<std::vector<ModelCells>> CountCells(const CampaignFile& file,
                                                   const std::vector<std::string>& model_roots);

// Where the campaign's data set is: beside the file, or below the roots. Empty if it is not there.
std::string FindDataset(const CampaignFile& file, const std::vector<std::string>& data_roots);

// For `run`: names may be paths, absolute or relative to the file. They become plain names (the
// last part of the path) with the folder that each stands for.
struct LocalCampaign {
  Campaign campaign;                          // with plain names
  std::map<std::string, std::string> models;  // name -> absolute folder
  std::string dataset_folder;                 // absolute
  CellCount cells;                            // of all models
};

// Opens every model (headers only) and expands every target, so that mistakes show before anything
// starts. Errors: InvalidArgument, the file named: a missing or unreadable model or data set, two
// models of one name, a target that matches nothing.
absl::StatusOr<LocalCampaign> ResolveLocally(const CampaignFile& file,
                                             const std::vector<std::string>& model_roots,
                                             const std::vector<std::string>& data_roots);

}  // namespace bitquake
