#include "common/base/suggest.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"

namespace bitquake {
namespace {

std::string Folded(absl::string_view name) {
  std::string folded = absl::AsciiStrToLower(name);
  std::replace(folded.begin(), folded.end(), '-', '_');
  return folded;
}

// Levenshtein's distance with transposition of neighbours (optimal string alignment).
int EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    d[i][0] = static_cast<int>(i);
  }
  for (size_t j = 0; j <= b.size(); ++j) {
    d[0][j] = static_cast<int>(j);
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

// The text that a pattern is about, without anchors, escapes and the like.
std::string Literal(absl::string_view pattern) {
  std::string literal;
  for (const char c : pattern) {
    if (absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.') {
      literal.push_back(c);
    }
  }
  return literal;
}

}  // namespace

std::vector<std::string> NearestNames(absl::string_view name,
                                      const std::vector<std::string>& candidates, int limit) {
  constexpr size_t kLongestCompared = 200;
  if (name.size() > kLongestCompared) {
    return {};
  }
  const std::string folded = Folded(name);
  std::vector<std::pair<int, std::string>> near;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongestCompared) {
      continue;
    }
    const auto [shorter, longer] = std::minmax({folded.size(), candidate.size()});
    const size_t allowed = (longer + 2) / 3;
    if (longer - shorter > allowed) {
      continue;  // each letter too many is a change
    }
    const int distance = EditDistance(folded, Folded(candidate));
    if (distance <= static_cast<int>(allowed)) {
      near.emplace_back(distance, candidate);
    }
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (const auto& [distance, candidate] : near) {
    if (static_cast<int>(names.size()) < limit) {
      names.push_back(candidate);
    }
  }
  return names;
}

std::string DidYouMean(absl::string_view name, const std::vector<std::string>& candidates) {
  const std::vector<std::string> near = NearestNames(name, candidates);
  if (near.empty()) {
    return "";
  }
  return absl::StrCat("; did you mean '", absl::StrJoin(near, "' or '"), "'?");
}

std::string NearPartsOrExamples(absl::string_view pattern, const std::vector<std::string>& names) {
  const std::string literal = Literal(pattern);
  const std::vector<absl::string_view> wanted = absl::StrSplit(literal, '.', absl::SkipEmpty());
  std::set<std::string> parts;  // of as many words as the pattern has
  for (const std::string& name : names) {
    const std::vector<absl::string_view> words = absl::StrSplit(name, '.');
    for (size_t first = 0; !wanted.empty() && first + wanted.size() <= words.size(); ++first) {
      parts.insert(absl::StrJoin(absl::MakeConstSpan(words).subspan(first, wanted.size()), "."));
    }
  }
  std::string near =
      DidYouMean(absl::StrJoin(wanted, "."), std::vector<std::string>(parts.begin(), parts.end()));
  if (!near.empty() || names.empty()) {
    return near;
  }
  constexpr size_t kFew = 3;
  return absl::StrCat(
      "; names are like '",
      absl::StrJoin(absl::MakeConstSpan(names).first(std::min(kFew, names.size())), "', '"), "'");
}

}  // namespace bitquake
