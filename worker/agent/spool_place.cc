#include "worker/agent/spool_place.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/process.h"

namespace bitquake {
namespace {

std::string StateFolder() {
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && *xdg != '\0') {
    return absl::StrCat(xdg, "/bitquake/worker");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "/tmp", "/.local/state/bitquake/worker");
}

// As a file's name.
std::string Plain(std::string name) {
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.'; },
      '_');
  return name.empty() || name.front() == '.' ? "_" + name : name;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> OpenSpool(const SpoolPlace& place) {
  if (!place.folder.empty()) {
    return Spool::Open({place.folder, place.most_bytes});
  }
  const std::string state = StateFolder();
  if (!place.id.empty()) {
    return Spool::Open({absl::StrCat(state, "/", Plain(place.id)), place.most_bytes});
  }
  const std::string name = Plain(absl::StrCat(HostName(), "-", place.device));
  for (int number = 0;; ++number) {
    absl::StatusOr<std::unique_ptr<Spool>> spool =
        Spool::Open({absl::StrCat(state, "/", name, "-", number), place.most_bytes});
    if (!absl::IsAlreadyExists(spool.status())) {
      return spool;
    }
  }
}

std::string WorkerId(const SpoolPlace& place, const Spool& spool) {
  if (!place.id.empty()) {
    return place.id;
  }
  return spool.owner().worker.empty() ? absl::StrCat(HostName(), "-", RandomHex())
                                      : spool.owner().worker;
}

}  // namespace bitquake
