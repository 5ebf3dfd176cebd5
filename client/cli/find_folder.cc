#include "client/cli/find_folder.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/suggest.h"

namespace bitquake {

namespace fs = std::filesystem;

absl::StatusOr<std::string> FindFolder(const std::string& name, const std::string& beside,
                                       const std::vector<std::string>& roots,
                                       const std::string& what, const std::string& flag) {
  std::vector<fs::path> places;
  if (fs::path(name).is_absolute()) {
    places.push_back(name);
  } else {
    places.push_back(fs::path(beside) / name);
    for (const std::string& root : roots) {
      places.push_back(fs::path(root) / name);
    }
  }
  std::error_code error;
  for (const fs::path& place : places) {
    if (fs::is_directory(place, error)) {
      fs::path folder = fs::canonical(place, error);
      return folder.string();
    }
  }
  std::vector<std::string> present;
  for (const fs::path& place : places) {
    for (const auto& entry : fs::directory_iterator(place.parent_path(), error)) {
      present.push_back(entry.path().filename().string());
    }
  }
  const std::string tried = absl::StrJoin(places, ", ", [](std::string* out, const fs::path& p) {
    absl::StrAppend(out, p.lexically_normal().string());
  });
  return absl::NotFoundError(absl::StrCat(what, " '", name, "' not found (looked for ", tried, ")",
                                          DidYouMean(fs::path(name).filename().string(), present),
                                          "; give a path, or the folder above it with ", flag));
}

std::vector<fs::path> FoldersIn(const std::string& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; at != end; at.increment(error)) {
    if (at->is_directory(error) && !absl::StartsWith(at->path().filename().string(), ".")) {
      folders.push_back(at->path());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace bitquake
