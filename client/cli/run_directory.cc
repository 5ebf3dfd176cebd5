#include "client/cli/run_directory.h"

#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

std::string ToText(const RunState& state) {
  return nlohmann::ordered_json{{"request_id", state.request_id},
                                {"campaign", nlohmann::ordered_json::parse(state.campaign_json)},
                                {"models", state.models},
                                {"dataset", state.dataset},
                                {"dataset_folder", state.dataset_folder},
                                {"workers", state.workers},
                                {"device", state.device},
                                {"allow_torchscript", state.allow_torchscript}}
             .dump(2) +
         "\n";
}

absl::StatusOr<RunState> FromText(const std::string& text, const std::string& path) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    RunState state;
    state.request_id = json.at("request_id");
    state.campaign_json = json.at("campaign").dump();
    state.models = json.at("models");
    state.dataset = json.at("dataset");
    state.dataset_folder = json.at("dataset_folder");
    state.workers = json.at("workers");
    state.device = json.at("device");
    state.allow_torchscript = json.value("allow_torchscript", false);  // older runs lack it
    return state;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat(path, ": damaged: ", error.what()));
  }
}

}  // namespace

RunDirectory::RunDirectory(std::string folder, RunState state)
    : folder_(std::move(folder)), state_(std::move(state)) {}

absl::StatusOr<RunDirectory> RunDirectory::Create(const std::string& folder,
                                                  const CampaignFile& file, const RunState& state) {
  std::error_code error;
  if (fs::exists(folder, error)) {
    return absl::AlreadyExistsError(absl::StrCat("run directory ", folder,
                                                 " exists; go on with it by --resume ", folder,
                                                 ", or name another with --out"));
  }
  if (!fs::create_directories(folder, error)) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot make the run directory ", folder, ": ", error.message()));
  }
  RunDirectory run(fs::absolute(folder).string(), state);
  RETURN_IF_ERROR(WriteFileAtomically(run.folder_ + "/campaign.yaml", file.text));
  RETURN_IF_ERROR(WriteFileAtomically(run.folder_ + "/run.json", ToText(state)));
  return run;
}

absl::StatusOr<RunDirectory> RunDirectory::Open(const std::string& folder) {
  const std::string path = folder + "/run.json";
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    return absl::NotFoundError(
        absl::StrCat(folder, " holds no run to resume (", text.status().message(), ")"));
  }
  ASSIGN_OR_RETURN(RunState state, FromText(*text, path));
  return RunDirectory(fs::absolute(folder).string(), std::move(state));
}

absl::StatusOr<std::string> RunDirectory::SocketAddress() {
  const std::string socket = folder_ + "/server.sock";
  // The address is read as a URI, and the system limits its length.
  const bool plain = std::all_of(socket.begin(), socket.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("/._-+, ", c);
  });
  if (plain && socket.size() < sizeof(sockaddr_un::sun_path)) {
    return absl::StrCat("unix:", socket);
  }
  if (link_folder_ == nullptr) {
    ASSIGN_OR_RETURN(std::unique_ptr<PrivateFolder> created, PrivateFolder::Create());
    std::error_code error;
    fs::create_directory_symlink(folder_, created->Path("run"), error);
    if (error) {
      return absl::UnavailableError(absl::StrCat(created->Path("run"), ": ", error.message()));
    }
    link_folder_ = std::move(created);
  }
  return absl::StrCat("unix:", link_folder_->Path("run/server.sock"));
}

}  // namespace bitquake
