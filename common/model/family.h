// Which family of networks an architecture belongs to, by its name alone.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "common/model/architecture.h"

namespace bitquake {

struct FamilyOfName {
  Family family = Family::kTorchScript;
  std::string why;  // of TorchScript: what is not supported, and what is
};

// A name like that of a known family that marks another network ("vit_..._quickgelu_...", "deit3_",
// "swinv2_") belongs to none.
FamilyOfName FamilyOf(absl::string_view architecture);

}  // namespace bitquake
