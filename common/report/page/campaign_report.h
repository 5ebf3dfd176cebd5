// All that a campaign says of itself in its report, as plain values: a client fills it from what a
// coordinator sends, a coordinator from its store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/report/results.h"

namespace bitquake {

struct ReportedModel {
  std::string model;
  std::string architecture;
  std::string digest;
  int chunk = 0;  // images a forward
};

// How far the campaign is.
struct CampaignProgress {
  std::string state;  // probing | running | paused | done | cancelled | failed
  std::string error;  // why it failed, or was paused
  int64_t jobs_expected = 0;
  int64_t jobs_done = 0;
  int64_t jobs_poisoned = 0;
  std::vector<std::string> poison_errors;
  int64_t images_done = 0;
  int64_t images_without_flips = 0;  // of them: known without inference
  int64_t images_copied = 0;         // of them: of trials with the same faults as another
  double images_per_second = 0;      // 0: unknown
  double eta_seconds = 0;            // 0: unknown
  int workers = 0;
  int64_t submitted_unix_ms = 0;
  int64_t finished_unix_ms = 0;  // 0: not yet

  bool ended() const { return state == "done" || state == "cancelled" || state == "failed"; }
};

struct CampaignReport {
  std::string id;
  std::string name;
  std::string resolved_json;
  std::string server_version;
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
