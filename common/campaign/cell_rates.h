// The cells of a target under a fault model: one for each of its bit-error rates.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/campaign.h"
#include "common/fault/fault_list.h"
#include "common/fault/fault_source.h"

namespace bitquake {

// Of one fault model of the campaign, one model, one format. Thread-compatible.
class CellRates {
 public:
  // `campaign`, `fault`, and `surface`, which numbers the targets' tensors, must outlive the
  // result. Errors: as CheckFaults and FaultSource.
  static absl::StatusOr<CellRates> Make(const Campaign& campaign, const FaultModel& fault,
                                        const Surface& surface, const NumberFormat& format);

  // The bits of a target that can be hit: 0 if all are protected.
  int64_t BitsOf(const Target& target) const { return source_.ExposedBits(target); }

  // The bit-error rates of the target's cells, ascending: the granularity's own, or the campaign's.
  // A fault model without rates (a count, a list) has one cell a target, whose rate is what its
  // faults come to: faulty bits / bits of the target that can be hit. Errors: InvalidArgument if
  // the faults could hit no bit of the target even if none were protected, or can hit fewer than
  // the count.
  absl::StatusOr<std::vector<double>> Of(const Granularity& granularity,
                                         const Target& target) const;

 private:
  CellRates(const Campaign& campaign, const FaultModel& fault, const Surface& surface,
            const NumberFormat& format, FaultSource source)
      : campaign_(&campaign),
        fault_(&fault),
        surface_(&surface),
        format_(format),
        source_(std::move(source)) {}

  int64_t ListedIn(const Target& target) const;

  const Campaign* campaign_;
  const FaultModel* fault_;
  const Surface* surface_;
  NumberFormat format_;
  FaultSource source_;
  std::vector<std::vector<WordFault>> listed_;  // of a list: the faults by tensor of the surface
};

}  // namespace bitquake
