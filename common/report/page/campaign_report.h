// All that a campaign says of itself in its report, as plain values: a client fills it from what a
// coordinator sends, a coordinator from its store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/report/campaign_progress.h"
#include "common/report/results.h"

namespace bitquake {

struct ReportedModel {
  std::string model;
  std::string architecture;
  std::string digest;
  int chunk = 0;  // images a forward
};

struct CampaignReport {
  std::string id;
  std::string name;
  std::string resolved_json;
  std::string server_version;
  bool of_run_directory = false;  // whose store no other program serves
  CampaignProgress progress;
  std::string data_digest;
  int64_t images = 0;
  int folds = 0;
  std::vector<ReportedModel> models;
  std::vector<std::string> device_kinds;
  std::vector<GoldenResult> goldens;
  std::vector<CellResult> cells;  // golden and rule filled in
};

}  // namespace bitquake
