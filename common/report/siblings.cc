#include "common/report/siblings.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bitquake {
namespace {

// The number of "h7" for the prefix "h", of "7" for none; -1 of anything else.
int NumberAfter(absl::string_view prefix, absl::string_view part) {
  int number = 0;
  if (!absl::StartsWith(part, prefix)) {
    return -1;
  }
  part.remove_prefix(prefix.size());
  const bool digits = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  return digits && absl::SimpleAtoi(part, &number) ? number : -1;
}

std::vector<std::string> Parts(absl::string_view target) { return absl::StrSplit(target, '.'); }

bool IsHead(absl::string_view part) { return NumberAfter("h", part) >= 0; }
bool IsNumber(absl::string_view part) { return NumberAfter("", part) >= 0; }

// The name with a star for each part that is a number.
std::string WithoutNumbers(absl::string_view target) {
  std::vector<std::string> parts = Parts(target);
  std::replace_if(parts.begin(), parts.end(), IsNumber, "*");
  return absl::StrJoin(parts, ".");
}

std::string WithoutHead(absl::string_view target) {
  std::vector<std::string> parts = Parts(target);
  std::replace_if(parts.begin(), parts.end(), IsHead, "h*");
  return absl::StrJoin(parts, ".");
}

// What the names of siblings have in common.
std::string SiblingTargets(absl::string_view granularity, absl::string_view target) {
  if (granularity == "head") {
    return WithoutHead(target);
  }
  if (granularity == "block" || granularity == "tensor") {
    return WithoutNumbers(target);
  }
  if (granularity == "type" || granularity == "part") {
    return absl::StrContains(target, '.') ? WithoutNumbers(target) : "*";
  }
  return "*";
}

// What the names of targets that are ranked together have in common. A type of a block is a part of
// that type of all blocks: these are not ranked with each other, nor is q of a head with the head.
std::string RankedTargets(absl::string_view granularity, absl::string_view target) {
  if (granularity == "head") {
    return IsHead(Parts(target).back()) ? "heads" : "types of heads";
  }
  if (granularity == "type" || granularity == "part") {
    return absl::StrContains(target, '.') ? "of blocks" : "*";
  }
  return "*";
}

std::string Group(const CellKey& key, absl::string_view targets, int position) {
  return absl::StrJoin({key.campaign, key.model, key.format, key.fault, key.granularity,
                        FormatNumber(key.ber), absl::StrCat(position), std::string(targets)},
                       "\n");
}

}  // namespace

std::string SiblingGroup(const CellKey& key) {
  const PositionedTarget target = SplitPosition(key);
  const bool of_bits = key.granularity == "bit";
  return Group(key, SiblingTargets(key.granularity, target.whole), of_bits ? -1 : target.position);
}

std::string RankingGroup(const CellKey& key) {
  const PositionedTarget target = SplitPosition(key);
  const bool of_bits = key.granularity == "bit";
  return Group(key, RankedTargets(key.granularity, target.whole), of_bits ? -1 : target.position);
}

PositionedTarget SplitPosition(const CellKey& key) {
  if (key.granularity == "bit") {
    return {"model", NumberAfter("bit", key.target)};
  }
  const size_t dot = key.target.rfind('.');
  const int position =
      dot == std::string::npos ? -1 : NumberAfter("bit", key.target.substr(dot + 1));
  return {position < 0 ? key.target : key.target.substr(0, dot), position};
}

std::string HeadPattern(absl::string_view target) { return WithoutHead(WithoutNumbers(target)); }

HeadPlace FindHead(absl::string_view target) {
  HeadPlace place;
  for (const std::string& part : Parts(target)) {
    if (place.block < 0 && IsNumber(part)) {
      place.block = NumberAfter("", part);
    }
    if (IsHead(part)) {
      place.head = NumberAfter("h", part);
    }
  }
  return place;
}

}  // namespace bitquake
