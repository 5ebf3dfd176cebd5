// Results, read from the store on a read-only connection of the caller's own: no writer waits.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/report/results.h"
#include "server/store/database.h"

namespace bitquake {

struct StoredModel {
  std::string model;
  std::string digest;
  std::string config_json;
  int chunk = 0;  // images a forward
};

// What a campaign's numbers stand on.
struct StoredCampaign {
  std::string name;
  std::string resolved_json;
  std::string data_digest;
  int64_t images = 0;
  int folds = 0;
  std::vector<StoredModel> models;
  std::vector<GoldenResult> goldens;  // only those known on all images
  std::vector<std::string> device_kinds;
};

absl::StatusOr<StoredCampaign> ReadCampaign(Database& db, const std::string& id);

// Calls `cell` for each cell of the campaign in order, with its finished trials. Golden is not
// filled in.
absl::Status ReadCells(Database& db, const std::string& id,
                       const std::function<absl::Status(CellResult)>& cell);

}  // namespace bitquake
