#include "common/campaign/cell_rates.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/fault/listed_bits.h"
#include "common/fault/target_cut.h"

namespace bitquake {

absl::StatusOr<CellRates> CellRates::Make(const Campaign& campaign, const Surface& surface,
                                          const NumberFormat& format) {
  CellRates rates(campaign, surface, format);
  RETURN_IF_ERROR(CheckFaults(surface, {}, campaign.fault, format));
  if (campaign.fault.kind == FaultModel::Kind::kList) {
    ASSIGN_OR_RETURN(FaultList listed, FindListedBits(surface, campaign.fault.list));
    rates.listed_.resize(surface.size());
    for (TensorFaults& tensor : listed.tensors) {
      rates.listed_[tensor.tensor] = std::move(tensor.faults);
    }
  }
  return rates;
}

absl::StatusOr<std::vector<double>> CellRates::Of(const Granularity& granularity,
                                                  const Target& target) const {
  const FaultModel& fault = campaign_->fault;
  const int64_t bits = ExposedBits(target, format_, fault);
  if (bits == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("target '", target.name, "' in ", format_.Name(),
                     " has no bit that the fault model can hit; choose other 'bits'"));
  }
  if (fault.HasBer()) {
    return granularity.ber.empty() ? campaign_->ber : granularity.ber;
  }
  int64_t faulty = fault.count;
  if (fault.kind == FaultModel::Kind::kList) {
    faulty = ListedIn(target);
  } else {
    RETURN_IF_ERROR(CheckFaults(*surface_, {target}, fault, format_));
  }
  return std::vector<double>{static_cast<double>(faulty) / static_cast<double>(bits)};
}

int64_t CellRates::ListedIn(const Target& target) const {
  return DrawWithin(*surface_, target, target.positions,
                    [this](int tensor) { return listed_[tensor]; })
      .flips();
}

}  // namespace bitquake
