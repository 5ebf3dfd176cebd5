#include "common/fault/fault_model.h"

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

using Kind = FaultModel::Kind;
using Sampling = FaultModel::Sampling;

absl::Status CheckSampling(const FaultModel& model) {
  if (model.sampling == Sampling::kBernoulli) {
    return absl::OkStatus();
  }
  if (model.kind == Kind::kBurst || model.kind == Kind::kWord || model.kind == Kind::kList) {
    return absl::InvalidArgumentError(
        absl::StrCat("fault ", model.Name(), " takes no sampling but bernoulli; ",
                     model.sampling == Sampling::kExact ? "exact" : "count",
                     " is for bit_flip, stuck_at_0 and stuck_at_1"));
  }
  if (model.sampling == Sampling::kCount && model.count < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("fault count is ", model.count, "; it must not be negative"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string FaultModel::Name() const {
  switch (kind) {
    case Kind::kBitFlip:
      return "bit_flip";
    case Kind::kStuckAt0:
      return "stuck_at_0";
    case Kind::kStuckAt1:
      return "stuck_at_1";
    case Kind::kBurst:
      return "burst";
    case Kind::kWord:
      return "word";
    case Kind::kList:
      return "list";
  }
  return "";
}

absl::Status CheckFaultModel(const FaultModel& model, const NumberFormat& format) {
  const absl::Status sampling = CheckSampling(model);
  if (!sampling.ok()) {
    return sampling;
  }
  const auto beyond = [&](int bit) { return bit < 0 || bit >= format.bits; };
  const std::string words =
      absl::StrCat(format.Name(), ", whose words have bits 0 to ", format.bits - 1);
  for (const int position : model.positions) {
    if (beyond(position)) {
      return absl::InvalidArgumentError(
          absl::StrCat("fault position ", position, " is not one of ", words));
    }
  }
  if (model.kind == Kind::kBurst && (model.burst_length < 1 || model.burst_length > format.bits)) {
    return absl::InvalidArgumentError(absl::StrCat("a burst of ", model.burst_length,
                                                   " bits does not fit ", format.Name(),
                                                   ", whose words have ", format.bits));
  }
  if (model.kind == Kind::kList) {
    for (size_t i = 0; i < model.list.size(); ++i) {
      if (beyond(model.list[i].bit)) {
        return absl::InvalidArgumentError(
            absl::StrCat("fault list, entry ", i + 1, ": bit ", model.list[i].bit, " of ",
                         model.list[i].tensor, " is not one of ", words));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace bitquake
