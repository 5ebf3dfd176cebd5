#include "common/campaign/cell_rates.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/fault/distinct_bits.h"
#include "common/fault/listed_bits.h"
#include "common/fault/target_cut.h"

namespace bitquake {

absl::StatusOr<CellRates> CellRates::Make(const Campaign& campaign, const FaultModel& fault,
                                          const Surface& surface, const NumberFormat& format) {
  RETURN_IF_ERROR(CheckFaults(surface, {}, fault, format));
  ASSIGN_OR_RETURN(FaultSource source, FaultSource::Make(surface, fault, format));
  CellRates rates(campaign, fault, surface, format, std::move(source));
  if (fault.kind == FaultModel::Kind::kList) {
    ASSIGN_OR_RETURN(FaultList listed, FindListedBits(surface, fault.list));
    rates.listed_.resize(surface.size());
    for (TensorFaults& tensor : listed.tensors) {
      rates.listed_[tensor.tensor] = std::move(tensor.faults);
    }
  }
  return rates;
}

absl::StatusOr<std::vector<double>> CellRates::Of(const Granularity& granularity,
                                                  const Target& target) const {
  if (ExposedBits(target, format_, *fault_) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("target '", target.name, "' in ", format_.Name(),
                     " has no bit that the fault model can hit; choose other 'bits'"));
  }
  if (fault_->HasBer()) {
    return granularity.ber.empty() ? campaign_->ber : granularity.ber;
  }
  const int64_t bits = BitsOf(target);
  int64_t faulty = fault_->count;
  if (fault_->kind == FaultModel::Kind::kList) {
    faulty = ListedIn(target);
  } else {
    RETURN_IF_ERROR(CheckCount(target, bits, faulty));
  }
  return std::vector<double>{bits == 0 ? 0
                                       : static_cast<double>(faulty) / static_cast<double>(bits)};
}

int64_t CellRates::ListedIn(const Target& target) const {
  const Target exposed = source_.Exposed(target);
  return DrawWithin(*surface_, exposed, exposed.positions,
                    [this](int tensor) { return listed_[tensor]; })
      .flips();
}

}  // namespace bitquake
