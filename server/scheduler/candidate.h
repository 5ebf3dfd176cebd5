// What a lease may be cut from, as the coordinator's files say it.
#pragma once

#include <cstdint>
#include <string>

#include "server/scheduler/coordinator.h"

namespace bitquake {

// A batch from which a lease could be cut.
struct Coordinator::Candidate {
  int64_t batch = 0;
  std::string campaign;
  int64_t variant = 0;
  JobKind kind = JobKind::kProbe;
  int64_t ready_in_campaign = 0;  // jobs
};

}  // namespace bitquake
