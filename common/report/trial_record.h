// One trial: what it takes to compute it again, what was measured, and whether two measurements are
// the same. The coordinator's store has the one, `bitquake replay` makes the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/bitmap.h"

namespace bitquake {

struct TrialSetup {
  std::string resolved_json;  // the campaign
  std::string data_digest;
  std::string model;
  std::string model_digest;
  int chunk = 0;  // images a forward
  std::string format;
  int granularity_index = 0;  // into the campaign's granularities
  std::string target;
  double ber = 0;
  std::string fault;  // label of one of the campaign's fault models
  uint32_t trial = 0;
  std::vector<int> folds;  // that it saw
};

// Counts of images.
struct TrialCounts {
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
  int64_t golden_top1 = 0;
  int64_t golden_top5 = 0;
  int64_t sdc = 0;
  int64_t due = 0;
  int64_t inferences = 0;
};

struct FoldMeasurement {
  int fold = 0;
  TrialCounts counts;
  int64_t right_to_wrong = 0;
  int64_t wrong_to_right = 0;
  std::string digest;       // over predictions and top-5 hits
  std::string device_kind;  // on which it was computed
  std::string golden_digest;
  std::string golden_device_kind;
  Bitmap correct;  // empty unless the campaign keeps images
  Bitmap same;
  std::string attention_digest;  // empty unless it measures attention distance under faults
};

struct TrialMeasurement {
  TrialCounts sum;  // over the folds
  int64_t flips = 0;
  std::vector<int64_t> flips_per_bit;
  std::string faults_digest;
  std::vector<FoldMeasurement> folds;
};

struct TrialRecord {
  TrialSetup setup;
  bool finished = false;  // or there is no measurement yet
  TrialMeasurement measured;
};

// What differs, a line each: "fold 3: top1 is 171 stored, 172 now". Empty if nothing does.
std::vector<std::string> Differences(const TrialMeasurement& stored, const TrialMeasurement& now);

// The kinds of devices of `stored` that are not those of `now`; empty if all are the same. Between
// kinds near-ties may differ.
std::vector<std::string> OtherDeviceKinds(const TrialMeasurement& stored,
                                          const TrialMeasurement& now);

// Between programs. Errors: InvalidArgument for text that is not the other's.
std::string ToJson(const TrialSetup& setup);
absl::StatusOr<TrialSetup> TrialSetupFromJson(absl::string_view text);
std::string ToJson(const TrialMeasurement& measured);
absl::StatusOr<TrialMeasurement> TrialMeasurementFromJson(absl::string_view text);

}  // namespace bitquake
