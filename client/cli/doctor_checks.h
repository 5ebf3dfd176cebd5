// What `doctor` looks at on this machine and between it and a coordinator. Each check says what it
// found, and of what is wrong how to mend it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/api/client.h"

namespace bitquake {

struct Check {
  enum class Verdict { kGood, kUnchecked, kWarning, kBad };

  std::string subject;  // "models"
  Verdict verdict = Verdict::kGood;
  std::string finding;
  std::string remedy;  // of a warning, or of what is bad
};

// "good", "unchecked", "warning", "bad"
std::string VerdictName(Check::Verdict verdict);

// That bitquake-server and bitquake-worker can be started.
Check CheckPrograms();

// NVIDIA's GPUs and their driver, as the kernel tells; bad only if `device` needs one.
std::vector<Check> CheckGpu(const std::string& device);

// That the folders below a root are models, or data sets. `root` may be empty: unchecked.
Check CheckModelRoot(const std::string& root);
Check CheckDataRoot(const std::string& root);

// Whether a coordinator answers, has our version and workers; how far its clock is from ours.
std::vector<Check> CheckServer(const std::string& address,
                               const absl::StatusOr<ServerStatus>& server);

}  // namespace bitquake
