// "did you mean ...?"
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bitquake {

// The names nearest to `name` by edit distance (case and '-'/'_' ignored), best first; only those
// near enough to be meant, at most `limit`.
std::vector<std::string> NearestNames(absl::string_view name,
                                      const std::vector<std::string>& candidates, int limit = 3);

// "; did you mean 'trials'?" or "" if nothing is near.
std::string DidYouMean(absl::string_view name, const std::vector<std::string>& candidates);

// For a regular expression that matches none of the dotted names: the parts of them that it may
// mean,
// "; did you mean 'attn.qkv'?" for "^atn\\.qkv", or else a few of the names.
std::string NearPartsOrExamples(absl::string_view pattern, const std::vector<std::string>& names);

}  // namespace bitquake
