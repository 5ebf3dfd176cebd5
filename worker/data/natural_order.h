// The order in which timm's ImageFolder numbers classes and images (timm.utils.natural_key): runs
// of digits compare as numbers, letters without regard to case. "n2" comes before "N10". The
// class folders of ImageNet (n01440764, ...) sort by their bytes to the same.
#pragma once

#include "absl/strings/string_view.h"

namespace bitquake {

// Negative if `a` comes before `b`, 0 if the order does not tell them apart ("a1", "A01"), else
// positive. Letters beyond ASCII keep their case, where timm lower-cases them.
int CompareNaturally(absl::string_view a, absl::string_view b);

}  // namespace bitquake
