// Reports that a worker could have sent: each a pure function of its job, whoever makes it up.
#pragma once

#include <vector>

#include "bitquake/v1/worker.pb.h"
#include "common/model/snapshot.h"

namespace bitquake {

// What a worker says of a lease's jobs: that they begin, then the reports in the order of the jobs.
// Without worker and sequence.
std::vector<v1::OutcomeReport> MakeUpOutcomes(const v1::Lease& lease,
                                              const ModelSnapshot& snapshot);

}  // namespace bitquake
