#include "common/campaign/cell_rates.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/fault/fault_list.h"

namespace bitquake {

absl::StatusOr<std::vector<double>> CellRates(const Campaign& campaign,
                                              const Granularity& granularity,
                                              const Surface& surface, const Target& target,
                                              const NumberFormat& format) {
  const FaultModel& fault = campaign.fault;
  const int64_t bits = ExposedBits(target, format, fault);
  const auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("target '", target.name, "' in ", format.Name(), " ", why));
  };
  if (bits == 0) {
    return refuse("has no bit that the fault model can hit; choose other 'bits'");
  }
  if (fault.HasBer()) {
    return granularity.ber.empty() ? campaign.ber : granularity.ber;
  }
  int64_t faulty = fault.count;
  if (fault.kind == FaultModel::Kind::kList) {
    ASSIGN_OR_RETURN(const FaultList listed, DrawFaults(surface, target, fault, format,
                                                        campaign.seed, /*trial=*/0, /*ber=*/0));
    faulty = listed.flips();
  }
  if (faulty > bits) {
    return refuse(
        absl::StrCat("has only ", bits, " bits to draw ", faulty, " faults from; lower 'count'"));
  }
  return std::vector<double>{static_cast<double>(faulty) / static_cast<double>(bits)};
}

}  // namespace bitquake
