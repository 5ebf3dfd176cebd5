// The cells of a target: one for each of its bit-error rates.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"

namespace bitquake {

// The bit-error rates of a target's cells, ascending: the granularity's own, or the campaign's. A
// fault model without rates (a count, a list) has one cell a target, whose rate is what its faults
// come to: faulty bits / bits of the target that can be hit. `surface` is the one that the target's
// tensors are numbered by. Errors: InvalidArgument if the faults can hit no bit of the target, or
// fewer than they should; or as of DrawFaults for a list.
absl::StatusOr<std::vector<double>> CellRates(const Campaign& campaign,
                                              const Granularity& granularity,
                                              const Surface& surface, const Target& target,
                                              const NumberFormat& format);

}  // namespace bitquake
