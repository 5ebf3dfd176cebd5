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
    if (fs::is_directory(fs::path(root) / name, error)) {
      return (fs::path(root) / name).string();
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
