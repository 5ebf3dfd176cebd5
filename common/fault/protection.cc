#include "common/fault/protection.h"

#include "absl/strings/str_cat.h"

namespace bitquake {

std::string Protection::Name() const {
  switch (scheme) {
    case Scheme::kNone:
      return "";
    case Scheme::kSecded:
      return "secded";
    case Scheme::kParity:
      return "parity";
    case Scheme::kTmr:
      return "tmr";
    case Scheme::kClamp:
      return "clamp";
  }
  return "";
}

std::string Protection::Label() const {
  std::string label = Name();
  if (scheme == Scheme::kSecded && uncorrectable == Uncorrectable::kKeep) {
    label += " uncorrectable=keep";
  }
  if ((scheme == Scheme::kSecded || scheme == Scheme::kParity) && !check_bits_exposed) {
    label += " check_bits=safe";
  }
  if (scheme == Scheme::kTmr) {
    absl::StrAppend(&label, " bits=", copied_bits);
  }
  if (scheme == Scheme::kClamp && outside == Outside::kZero) {
    label += " outside=zero";
  }
  return label;
}

}  // namespace bitquake
