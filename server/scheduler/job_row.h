// A row of the jobs table with what it belongs to, and what the coordinator's files say of jobs.
#pragma once

#include <cstdint>
#include <string>

#include "server/scheduler/coordinator.h"

namespace bitquake {

struct Coordinator::JobRow {
  int64_t job = 0;
  int64_t batch = 0;
  JobKind kind = JobKind::kProbe;
  int64_t variant = 0;
  std::string campaign;
  int64_t cell = 0;
  uint32_t trial = 0;
  int fold = 0;
  std::string state;
  int64_t lease = 0;
  int failures = 0;
  std::string model;
  std::string format;
};

// Counts a batch's ready jobs anew.
inline constexpr char kSetReady[] =
    "UPDATE batches SET ready = (SELECT count(*) FROM jobs WHERE batch = batches.id AND state = "
    "'ready') WHERE id = ?";

}  // namespace bitquake
