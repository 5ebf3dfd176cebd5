// What the coordinator and its callers exchange, as plain values; the gRPC services translate.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/model/architecture.h"
#include "common/model/attention_distance.h"
#include "common/report/campaign_progress.h"

namespace bitquake {

enum class JobKind { kProbe = 0, kGolden = 1, kTrials = 2 };

struct WorkerIdentity {
  std::string id;        // the worker's, kept over restarts where its starter gives one
  std::string instance;  // of its process
  std::string host;
  std::string version;
  std::string device_kind;
};

struct CellSpec {
  int64_t cell = 0;
  int granularity_index = 0;  // into the campaign's granularities
  std::string target;
  double ber = 0;
  std::string fault;  // label of one of the campaign's fault models
};

struct LeasedJob {
  int64_t job = 0;
  int64_t cell = 0;  // 0 for probe and golden jobs
  uint32_t trial = 0;
  int fold = 0;
};

// Jobs of one variant and kind, handed to one worker.
struct LeaseGrant {
  int64_t lease = 0;
  JobKind kind = JobKind::kProbe;
  std::string campaign;
  std::string model;
  std::string format;
  std::string resolved_json;  // the campaign
  int chunk = 0;
  std::string data_digest;
  std::string model_digest;
  bool one_by_one = false;  // its jobs are suspects
  std::vector<CellSpec> cells;
  std::vector<LeasedJob> jobs;
};

struct ProbeOutcome {
  int64_t job = 0;
  std::string config_json;
  std::vector<TensorInfo> tensors;
  std::string model_digest;
  std::string data_digest;
  int64_t images = 0;
  std::vector<int> fold_sizes;
  int chunk = 0;
};

struct GoldenOutcomeReport {
  int64_t job = 0;
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
  std::string digest;
  std::string predictions;
  double seconds = 0;
  std::vector<int64_t> image_numbers;  // of a campaign that keeps images, as are the labels
  std::vector<int> labels;
  AttentionDistances attention;  // of a campaign that measures it
};

struct TrialOutcomeReport {
  int64_t job = 0;
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
  int64_t golden_top1 = 0;
  int64_t golden_top5 = 0;
  int64_t sdc = 0;
  int64_t right_to_wrong = 0;
  int64_t wrong_to_right = 0;
  int64_t due = 0;
  int64_t flips_wanted = 0;
  int64_t flips = 0;
  std::vector<int64_t> flips_per_bit;
  std::string faults_digest;
  std::string golden_digest;
  std::string outcome_digest;
  int64_t inferences = 0;
  double seconds = 0;
  std::string correct;  // of a campaign that keeps images: bitmaps (common/base/bitmap.h)
  std::string same;
  AttentionDistances attention;  // of a campaign that measures it under faults
};

struct FailureReport {
  std::vector<int64_t> jobs;
  std::string error;
  bool permanent = false;  // these jobs can never run on this worker
  bool untrusted = false;  // the worker failed a proof
};

struct LeaseEnd {
  bool lost = false;  // the process died that worked on it, or its device failed
};

// What the worker runs now, of the jobs of its lease; none while it prepares.
struct JobsBegun {
  std::vector<int64_t> jobs;
};

struct Report {
  std::string worker;
  std::string campaign;  // of the lease
  int64_t lease = 0;
  std::variant<ProbeOutcome, GoldenOutcomeReport, TrialOutcomeReport, FailureReport, LeaseEnd,
               JobsBegun>
      body;
};

// What a worker is told when it registers.
struct Registration {
  absl::Duration lease;         // not renewed for so long, a lease ends
  absl::Duration retry_window;  // over which workers that lose the coordinator spread
  std::string store;            // identity
};

struct HeartbeatReply {
  std::vector<int64_t> ended_leases;
  bool drain = false;
  absl::Duration retry_window;
};

struct WorstCell {
  std::string model;
  std::string format;
  std::string target;
  double ber = 0;
  double half_width = 0;  // percentage points, at the campaign's confidence
};

struct CampaignSnapshot : CampaignProgress {
  std::string id;
  std::string name;
  bool has_worst = false;
  WorstCell worst;
};

struct WorkerSnapshot {
  WorkerIdentity identity;
  bool live = false;
  int leased_jobs = 0;
  std::string quarantine;
};

}  // namespace bitquake
