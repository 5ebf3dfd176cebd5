#include "common/fault/fault_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/status_macros.h"

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

// What a scheme stores beside the words is drawn bit by bit at the rate.
absl::Status CheckProtection(const FaultModel& model, const NumberFormat& format) {
  const Protection& protection = model.protection;
  if (protection.DrawsRedundancy() &&
      (model.kind != Kind::kBitFlip || model.sampling != Sampling::kBernoulli)) {
    const bool copies = protection.scheme == Protection::Scheme::kTmr;
    return absl::InvalidArgumentError(absl::StrCat(
        "protection ", protection.Name(), ": its ", copies ? "copies" : "check bits",
        " flip at the bit-error rate, each on its own; ", model.Name(),
        model.sampling == Sampling::kBernoulli ? "" : " of a number of bits", " does not",
        copies ? "; use bit_flip with bernoulli sampling" : "; give check_bits: safe"));
  }
  if (protection.copied_bits > format.bits) {
    return absl::InvalidArgumentError(absl::StrCat("protection tmr: ", protection.copied_bits,
                                                   " top bits of ", format.Name(),
                                                   ", whose words have ", format.bits));
  }
  for (const FaultModel::Protected& entry : model.protect) {
    if (entry.top > format.bits) {
      return absl::InvalidArgumentError(absl::StrCat("protect: ", entry.top, " top bits of ",
                                                     format.Name(), ", whose words have ",
                                                     format.bits));
    }
  }
  return absl::OkStatus();
}

// "blocks.0;blocks.3/2": two top bits of the latter. Long lists are numbered by a digest.
std::string ProtectLabel(const std::vector<FaultModel::Protected>& protect) {
  constexpr size_t kMostCharacters = 100;
  std::vector<std::string> entries;
  for (const FaultModel::Protected& entry : protect) {
    std::string text = entry.match.empty() ? entry.target : absl::StrCat("match:", entry.match);
    if (entry.top > 0) {
      absl::StrAppend(&text, "/", entry.top);
    }
    entries.push_back(std::move(text));
  }
  const std::string all = absl::StrJoin(entries, ";");
  if (all.size() <= kMostCharacters) {
    return all;
  }
  Xxh3 digest;
  digest.UpdateText(all);
  return absl::StrCat(entries.size(), "-entries-", digest.Hex().substr(0, 8));
}

}  // namespace

std::string FaultModel::Label() const {
  std::string label = Name();
  if (sampling == Sampling::kExact) {
    label += " exact";
  } else if (sampling == Sampling::kCount) {
    absl::StrAppend(&label, " count=", count);
  }
  if (kind == Kind::kBurst) {
    absl::StrAppend(&label, " length=", burst_length);
  }
  if (!positions.empty()) {
    absl::StrAppend(&label, " bits=", absl::StrJoin(positions, ";"));
  }
  if (!protect.empty()) {
    absl::StrAppend(&label, " protect=", ProtectLabel(protect));
  }
  if (protection.scheme != Protection::Scheme::kNone) {
    absl::StrAppend(&label, " + ", protection.Label());
  }
  return label;
}

uint32_t FaultModel::PositionMask() const {
  uint32_t mask = positions.empty() ? ~uint32_t{0} : 0;
  for (const int position : positions) {
    mask |= uint32_t{1} << position;
  }
  return mask;
}

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
  RETURN_IF_ERROR(CheckSampling(model));
  RETURN_IF_ERROR(CheckProtection(model, format));
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
