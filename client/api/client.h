// The client library: everything that a person can ask of a coordinator, as plain values and
// statuses.
//
//   const std::unique_ptr<Client> client = Client::Connect("127.0.0.1:50551");
//   ASSIGN_OR_RETURN(const std::string id, client->Submit(file, "campaign.yaml"));
//   RETURN_IF_ERROR(client->Watch(id, [](const CampaignStatus& now) { ... }));
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/channel/connection_options.h"
#include "common/report/campaign_progress.h"
#include "common/report/results.h"
#include "common/report/trial_record.h"

namespace bitquake {

struct CampaignStatus : CampaignProgress {
  std::string id;
  std::string name;
  std::string worst_cell;       // "model int8 blocks.0 at 1.00e-05"; empty: unknown
  std::string worst_target_at;  // of it: "blocks.0 at 1.00e-05"
  std::string worst_target;     // of it: "blocks.0"
  double worst_half_width = 0;  // percentage points
};

struct ModelInfo {
  std::string model;
  std::string digest;
  std::string architecture;
  int chunk = 0;  // images a forward
};

struct CampaignResults {
  CampaignStatus status;
  std::string resolved_json;
  std::string server_version;
  bool of_run_directory = false;  // the server was a run's own
  std::string data_digest;
  int64_t images = 0;
  int folds = 0;
  std::vector<ModelInfo> models;
  std::vector<GoldenResult> goldens;
  std::vector<std::string> device_kinds;
  std::vector<CellResult> cells;          // in the campaign's order, golden and rule filled in
  std::vector<FoldMembers> fold_members;  // if details were asked for and images are kept
};

struct WorkerStatus {
  std::string id;
  std::string host;
  std::string device_kind;
  std::string version;
  bool live = false;
  int leased_jobs = 0;
  std::string state;
  std::string error;
};

struct ServerStatus {
  std::string version;
  int workers = 0;  // live ones
  // Its clock less this machine's; the truth is within half of the round trip of it.
  absl::Duration clock_ahead;
  absl::Duration round_trip;
};

struct ClientOptions {
  // How long calls are tried again while the server cannot be reached. Zero: one attempt.
  absl::Duration patience = absl::ZeroDuration();
};

// Thread-safe. Errors of all calls: Unavailable if the server cannot be reached, and those that
// campaign.proto states.
class Client {
 public:
  // Connects at the first call. If the files that `connection` names cannot be used, each call
  // gives OpenChannel's error (InvalidArgument).
  static std::unique_ptr<Client> Connect(const ConnectionOptions& connection,
                                         ClientOptions options = {});
  // Without credentials.
  static std::unique_ptr<Client> Connect(const std::string& address, ClientOptions options = {});
  ~Client();

  // `request_id` makes a repeated submit give the same campaign; empty: a new one.
  absl::StatusOr<std::string> Submit(const std::string& file, const std::string& file_name,
                                     const std::string& request_id = "");
  absl::StatusOr<CampaignStatus> Get(const std::string& id);
  absl::StatusOr<std::vector<CampaignStatus>> List();  // newest first
  absl::StatusOr<CampaignStatus> Pause(const std::string& id);
  absl::StatusOr<CampaignStatus> Resume(const std::string& id);
  absl::StatusOr<CampaignStatus> Cancel(const std::string& id);
  // `details`: also what the campaign kept of single images and heads.
  absl::StatusOr<CampaignResults> Results(const std::string& id, bool details = false);
  // `cell` as cells.csv numbers it. Errors: InvalidArgument for a cell or trial that the campaign
  // does not have.
  absl::StatusOr<TrialRecord> Trial(const std::string& id, int64_t cell, uint32_t trial);
  absl::StatusOr<std::vector<WorkerStatus>> Workers();
  absl::StatusOr<ServerStatus> Server();

  // Calls `changed` with the state now and after every change until the campaign has ended. While
  // the server is away, it is awaited as long as `patience` says; `away` is called once each time.
  absl::Status Watch(
      const std::string& id, const std::function<void(const CampaignStatus&)>& changed,
      const std::function<void()>& away = [] {});
  // Ends a Watch of another thread with Cancelled, now and in future.
  void StopWatching();

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitquake
