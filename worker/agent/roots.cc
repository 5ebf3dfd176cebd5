#include "worker/agent/roots.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/campaign/campaign.h"

namespace bitquake {
namespace fs = std::filesystem;
namespace {

// A link below a root may lead out of it; a name in a campaign must not.
absl::Status CheckBelow(const fs::path& root, const fs::path& folder, const std::string& name,
                        const std::string& flag) {
  std::error_code error;
  const fs::path real_root = fs::canonical(root, error);
  const fs::path real_folder = error ? fs::path() : fs::canonical(folder, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat(folder.string(), ": ", error.message()));
  }
  const auto [end, rest] =
      std::mismatch(real_root.begin(), real_root.end(), real_folder.begin(), real_folder.end());
  if (end == real_root.end()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "'", name, "' is a link that leads out of ", root.string(), ", to ", real_folder.string(),
      "; name that place with ", flag == "--model-root" ? "--model" : "--data", " ", name, "=",
      real_folder.string(), ", or its root with ", flag));
}

}  // namespace

absl::StatusOr<std::string> Resolve(const Roots& roots, const std::string& name,
                                    const std::string& what, const std::string& flag) {
  const auto named = roots.named.find(name);
  if (named != roots.named.end()) {
    return named->second;
  }
  RETURN_IF_ERROR(CheckPlainName(name));
  std::vector<std::string> present;
  for (const std::string& root : roots.folders) {
    std::error_code error;
    const fs::path folder = fs::path(root) / name;
    if (fs::is_directory(folder, error)) {
      RETURN_IF_ERROR(CheckBelow(root, folder, name, flag));
      return folder.string();
    }
    for (const auto& entry : fs::directory_iterator(root, error)) {
      present.push_back(entry.path().filename().string());
    }
  }
  std::sort(present.begin(), present.end());
  return absl::NotFoundError(
      absl::StrCat(what, " '", name, "' is not below ",
                   roots.folders.empty() ? "any root" : absl::StrJoin(roots.folders, " or "),
                   DidYouMean(name, present), "; put it there, or name its place with ", flag));
}

}  // namespace bitquake
