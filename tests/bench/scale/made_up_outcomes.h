// Reports that a worker could have sent: each a pure function of its job, whoever makes it up.
#pragma once

#include <vector>

#include "bitquake/v1/worker.pb.h"
#include "common/model/snapshot.h"

namespace bitquake {

// The reports of a lease's jobs, in the order of its jobs, without worker and sequence.
std::vector<v1::OutcomeReport> MakeUpOutcomes(const v1::Lease& lease,
                                              const ModelSnapshot& snapshot);

}  // namespace bitquake
