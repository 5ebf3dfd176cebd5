// How deep a JSON text is nested, before anything is made of it. Reading such a text takes no stack,
// but writing, copying and comparing what was read do, for each level: a text from others must be
// known to be flat enough.
#pragma once

#include "absl/strings/string_view.h"

namespace bitquake {

// More than any file of ours, or timm's, has.
inline constexpr int kMaxJsonNesting = 20;

// The most lists and objects that stand in each other: "[[1], {}]" has 2. Of a text that is no JSON,
// some number.
int JsonNesting(absl::string_view json);

}  // namespace bitquake
