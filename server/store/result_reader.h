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

// Bitmaps of a trial on a fold, as kept (common/base/bitmap.h).
struct StoredFoldOutcome {
  int64_t cell = 0;  // its number, as CellResult's
  uint32_t trial = 0;
  int fold = 0;
  int64_t images = 0;
  std::string correct;
  std::string same;
};

// Attention distances of a trial, summed over all its images.
struct StoredAttention {
  int64_t cell = 0;
  uint32_t trial = 0;
  AttentionDistances distances;
};

struct StoredFold {
  int fold = 0;
  std::vector<int64_t> images;  // numbers in the data set, in the fold's order
  std::vector<int> labels;
};

// Of each variant whose golden outcome is known on all of `folds` folds. Attention is not filled
// in.
absl::StatusOr<std::vector<GoldenResult>> ReadGoldens(Database& db, const std::string& id,
                                                      int folds);

absl::StatusOr<StoredCampaign> ReadCampaign(Database& db, const std::string& id);

// Calls `cell` for each cell of the campaign in order, with its finished trials. Golden is not
// filled in.
absl::Status ReadCells(Database& db, const std::string& id,
                       const std::function<absl::Status(CellResult)>& cell);

// What a campaign kept of its images: calls `fold` for each fold, then `outcome` for each fold of
// each finished trial, in the order of cells, trials, folds. Neither, if it keeps none.
absl::Status ReadImages(Database& db, const std::string& id,
                        const std::function<absl::Status(StoredFold)>& fold,
                        const std::function<absl::Status(StoredFoldOutcome)>& outcome);

// Attention distances: calls `trial` for each finished trial that has them, in the order of cells
// and trials.
absl::Status ReadAttention(Database& db, const std::string& id,
                           const std::function<absl::Status(StoredAttention)>& trial);

}  // namespace bitquake
