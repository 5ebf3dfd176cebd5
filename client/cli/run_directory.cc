#include "client/cli/run_directory.h"

#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

std::string ToText(const RunState& state) {
  return nlohmann::ordered_json{{"request_id", state.request_id},
                                {"campaign", nlohmann::ordered_json::parse(state.campaign_json)},
                                {"file_digest", state.file_digest},
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
    state.allow_torchscript = json.value("allow_torchscript", false);  // older runs lack these
    state.file_digest = json.value("file_digest", "");
    return state;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat(path, ": damaged: ", error.what(),
                                            "; put it back from a copy, or run the campaign.yaml "
                                            "beside it anew"));
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
  // Filled under another name: at its own, a run directory is whole from the start.
  fs::path whole = fs::absolute(folder).lexically_normal();
  if (!whole.has_filename()) {
    whole = whole.parent_path();  // "runs/first/"
  }
  const std::string partial = absl::StrCat(whole.string(), ".partial-", RandomHex());
  if (!fs::create_directories(partial, error)) {
    return absl::PermissionDeniedError(absl::StrCat("cannot make the run directory ", folder, ": ",
                                                    error.message(), "; name another with --out"));
  }
  absl::Cleanup remove = [&partial] {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  };
  RETURN_IF_ERROR(WriteFileAtomically(partial + "/campaign.yaml", file.text));
  RETURN_IF_ERROR(WriteFileAtomically(partial + "/run.json", ToText(state)));
  fs::rename(partial, whole, error);
  if (error) {
    return absl::AlreadyExistsError(absl::StrCat("cannot make the run directory ", folder, ": ",
                                                 error.message(), "; name another with --out"));
  }
  std::move(remove).Cancel();
  return RunDirectory(whole.string(), state);
}

absl::StatusOr<RunDirectory> RunDirectory::Open(const std::string& folder) {
  const std::string path = folder + "/run.json";
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    return absl::NotFoundError(absl::StrCat(
        folder, " holds no run to resume (", text.status().message(),
        "); give the folder that a run says it goes into; one without run.json has measured "
        "nothing: run its campaign file"));
  }
  ASSIGN_OR_RETURN(RunState state, FromText(*text, path));
  return RunDirectory(fs::absolute(folder).string(), std::move(state));
}

bool RunDirectory::CampaignFileChanged() const {
  const absl::StatusOr<std::string> text = ReadFile(folder_ + "/campaign.yaml");
  return text.ok() && !state_.file_digest.empty() && Sha256Hex(*text) != state_.file_digest;
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
