#include "common/fault/granularity.h"

#include "absl/strings/str_cat.h"
#include "common/base/pattern.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

using Kind = Granularity::Kind;

bool IsAnyOf(Kind kind, std::initializer_list<Kind> kinds) {
  for (const Kind other : kinds) {
    if (kind == other) {
      return true;
    }
  }
  return false;
}

// Fields that the granularity does not know would be ignored in silence.
absl::Status CheckFields(const Granularity& granularity) {
  const Kind kind = granularity.kind;
  const auto refuse = [&](absl::string_view field, absl::string_view where) {
    return absl::InvalidArgumentError(absl::StrCat("granularity '", granularity.Name(),
                                                   "' takes no '", field, "'; remove it, or use ",
                                                   where));
  };
  const bool in_blocks = IsAnyOf(kind, {Kind::kBlock, Kind::kTensor, Kind::kHead}) ||
                         (IsAnyOf(kind, {Kind::kPart, Kind::kType}) && granularity.per_block);
  if (!granularity.blocks.empty() && !in_blocks) {
    return refuse("blocks", "block, tensor, head, or part or type per block");
  }
  if (!granularity.types.empty() && !IsAnyOf(kind, {Kind::kType, Kind::kHead})) {
    return refuse("types", "type or head");
  }
  if (granularity.per_block && !IsAnyOf(kind, {Kind::kPart, Kind::kType})) {
    return refuse("per: block", "part or type");
  }
  if (!(granularity.pattern.empty() && granularity.name.empty()) && kind != Kind::kRegex) {
    return refuse(granularity.pattern.empty() ? "name" : "match", "regex");
  }
  return absl::OkStatus();
}

absl::Status CheckPattern(const Granularity& granularity) {
  if (granularity.pattern.empty()) {
    return absl::InvalidArgumentError(
        "granularity 'regex' needs a pattern to match tensors' names with; give 'match'");
  }
  return Pattern::Compile(granularity.pattern).status();
}

}  // namespace

absl::string_view Name(QkvType type) {
  switch (type) {
    case QkvType::kQ:
      return "q";
    case QkvType::kK:
      return "k";
    case QkvType::kV:
      return "v";
  }
  return "";
}

absl::string_view Granularity::Name() const {
  switch (kind) {
    case Kind::kModel:
      return "model";
    case Kind::kBlock:
      return "block";
    case Kind::kTensor:
      return "tensor";
    case Kind::kPart:
      return "part";
    case Kind::kType:
      return "type";
    case Kind::kHead:
      return "head";
    case Kind::kBit:
      return "bit";
    case Kind::kRegex:
      return "regex";
  }
  return "";
}

const std::vector<Kind>& AllGranularityKinds() {
  static const auto& kinds =
      *new std::vector<Kind>{Kind::kModel, Kind::kBlock, Kind::kTensor, Kind::kPart,
                             Kind::kType,  Kind::kHead,  Kind::kBit,    Kind::kRegex};
  return kinds;
}

absl::Status CheckGranularity(const Granularity& granularity, const NumberFormat& format) {
  RETURN_IF_ERROR(CheckFields(granularity));
  for (const int position : granularity.positions) {
    if (position < 0 || position >= format.bits) {
      return absl::InvalidArgumentError(absl::StrCat("no bit ", position, " in ", format.Name(),
                                                     "; its bits are 0 to ", format.bits - 1));
    }
  }
  return granularity.kind == Kind::kRegex ? CheckPattern(granularity) : absl::OkStatus();
}

}  // namespace bitquake
