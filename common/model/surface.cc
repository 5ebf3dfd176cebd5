#include "common/model/surface.h"

#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/model/network_tensors.h"

namespace bitquake {
namespace {

constexpr size_t kLongestPattern = 1000;
constexpr int64_t kPatternMemory = int64_t{1} << 20;  // bytes that a compiled pattern may take

// The names and whatever of them stands between dots ("norm1", "attn.qkv"), of which a pattern that
// matches nothing is near to some.
std::vector<std::string> NamesAndParts(const std::vector<NetworkTensor>& parameters) {
  std::set<std::string> parts;
  for (const auto& [tensor, kind] : parameters) {
    const std::vector<absl::string_view> words = absl::StrSplit(tensor.name, '.');
    for (auto first = words.begin(); first != words.end(); ++first) {
      for (auto end = first + 1; end <= words.end(); ++end) {
        parts.insert(absl::StrJoin(first, end, "."));
      }
    }
  }
  return {parts.begin(), parts.end()};
}

// A pattern as the name that was probably meant.
std::string Plain(absl::string_view pattern) {
  constexpr absl::string_view kOperators = "\\^$()*+?";
  std::string plain;
  for (const char c : pattern) {
    if (kOperators.find(c) == absl::string_view::npos) {
      plain.push_back(c);
    }
  }
  return plain;
}

// Which parameters some of the patterns match.
absl::StatusOr<std::vector<bool>> Matches(const std::vector<NetworkTensor>& parameters,
                                          const std::vector<std::string>& patterns,
                                          absl::string_view field) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  std::vector<bool> matches(parameters.size());
  for (const std::string& pattern : patterns) {
    if (pattern.empty() || pattern.size() > kLongestPattern) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": a pattern has ", pattern.size(),
                                                     " characters; it takes 1 to ",
                                                     kLongestPattern));
    }
    const RE2 regex(pattern, options);
    if (!regex.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": '", pattern, "' is no regular expression: ", regex.error()));
    }
    bool any = false;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (RE2::PartialMatch(parameters[i].tensor.name, regex)) {
        matches[i] = true;
        any = true;
      }
    }
    if (!any) {
      return absl::NotFoundError(
          absl::StrCat(field, ": '", pattern, "' matches no parameter",
                       DidYouMean(Plain(pattern), NamesAndParts(parameters))));
    }
  }
  return matches;
}

}  // namespace

absl::StatusOr<Surface> MakeSurface(const Architecture& architecture,
                                    const std::vector<TensorInfo>& tensors,
                                    const SurfaceSelection& selection) {
  std::vector<NetworkTensor> parameters = NetworkTensors(architecture, tensors);
  parameters.erase(
      std::remove_if(parameters.begin(), parameters.end(),
                     [](const NetworkTensor& t) { return t.kind != TensorKind::kParameter; }),
      parameters.end());
  ASSIGN_OR_RETURN(const std::vector<bool> included,
                   Matches(parameters, selection.include, "include"));
  ASSIGN_OR_RETURN(const std::vector<bool> excluded,
                   Matches(parameters, selection.exclude, "exclude"));
  Surface surface;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const bool by_default = parameters[i].tensor.shape.size() >= 2;
    if ((by_default || included[i]) && !excluded[i]) {
      surface.push_back(std::move(parameters[i].tensor));
    }
  }
  if (surface.empty()) {
    return absl::InvalidArgumentError(
        selection.exclude.empty()
            ? absl::StrCat(architecture.name, " has no parameter of two or more dimensions")
            : "exclude: nothing is left on the fault surface; exclude less");
  }
  return surface;
}

}  // namespace bitquake
