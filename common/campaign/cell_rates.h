// The cells of a target: one for each of its bit-error rates.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"
#include "common/fault/fault_list.h"

namespace bitquake {

class CellRates {  // of one model in one format; thread-compatible
 public:
  // `campaign`, and `surface`, which numbers the targets' tensors, must outlive the result. Errors:
  // InvalidArgument, as CheckFaults.
  static absl::StatusOr<CellRates> Make(const Campaign& campaign, const Surface& surface,
                                        const NumberFormat& format);

  // The bit-error rates of the target's cells, ascending: the granularity's own, or the campaign's.
  // A fault model without rates (a count, a list) has one cell a target, whose rate is what its
  // faults come to: faulty bits / bits of the target that can be hit. Errors: InvalidArgument if
  // the faults can hit no bit of the target, or fewer than the count.
  absl::StatusOr<std::vector<double>> Of(const Granularity& granularity,
                                         const Target& target) const;

 private:
  CellRates(const Campaign& campaign, const Surface& surface, const NumberFormat& format)
      : campaign_(&campaign), surface_(&surface), format_(format) {}

  int64_t ListedIn(const Target& target) const;

  const Campaign* campaign_;
  const Surface* surface_;
  NumberFormat format_;
  std::vector<std::vector<WordFault>> listed_;  // of a list: the faults by tensor of the surface
};

}  // namespace bitquake
