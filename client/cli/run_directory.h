// A run directory: the campaign file as it was given, what `run --resume` must know, the store,
// logs, results.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/campaign_file.h"
#include "client/cli/private_folder.h"

namespace bitquake {

// Kept as run.json.
struct RunState {
  std::string request_id;                     // of the submission: the same after a resume
  std::string campaign_json;                  // resolved, with plain names
  std::string file_digest;                    // SHA-256 of campaign.yaml; empty in older runs
  std::map<std::string, std::string> models;  // name -> folder
  std::string dataset;                        // name
  std::string dataset_folder;
  int workers = 1;
  std::string device = "cpu";
  bool allow_torchscript = false;
};

class RunDirectory {
 public:
  // Makes the folder, whole or not at all, also if the process is killed. Errors: AlreadyExists,
  // saying how to go on with it or to name another.
  static absl::StatusOr<RunDirectory> Create(const std::string& folder, const CampaignFile& file,
                                             const RunState& state);
  // Errors: NotFound if there is no run in it.
  static absl::StatusOr<RunDirectory> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const RunState& state() const { return state_; }
  // Whether campaign.yaml was edited since, which changes nothing of the run.
  bool CampaignFileChanged() const;
  std::string database() const { return folder_ + "/campaign.db"; }
  std::string spool(int worker) const { return folder_ + "/spool-" + std::to_string(worker); }
  std::string log(const std::string& program) const { return folder_ + "/" + program + ".log"; }

  // The server's socket, in the folder. Socket paths have at most 107 bytes: for a longer one the
  // address goes over a symbolic link in a private temporary folder, which is removed with this
  // object.
  absl::StatusOr<std::string> SocketAddress();

 private:
  RunDirectory(std::string folder, RunState state);

  std::string folder_;  // absolute
  RunState state_;
  std::unique_ptr<PrivateFolder> link_folder_;  // null if there is none
};

}  // namespace bitquake
