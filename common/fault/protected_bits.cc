#include "common/fault/protected_bits.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/shown.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

using Kind = Granularity::Kind;

// Every granularity whose targets have names of their own, but for bit positions.
std::vector<Granularity> NamingGranularities() {
  std::vector<Granularity> all;
  for (const Kind kind :
       {Kind::kModel, Kind::kBlock, Kind::kTensor, Kind::kPart, Kind::kType, Kind::kHead}) {
    Granularity granularity;
    granularity.kind = kind;
    all.push_back(granularity);
    if (kind == Kind::kPart || kind == Kind::kType) {
      granularity.per_block = true;
      all.push_back(granularity);
    } else if (kind == Kind::kHead) {
      granularity.types = {QkvType::kQ, QkvType::kK, QkvType::kV};
      all.push_back(granularity);
    }
  }
  return all;
}

bool SameRanges(const Target& a, const Target& b) {
  return std::equal(a.ranges.begin(), a.ranges.end(), b.ranges.begin(), b.ranges.end(),
                    [](const WordRange& x, const WordRange& y) {
                      return x.tensor == y.tensor && x.first == y.first && x.count == y.count;
                    });
}

// The targets of a surface by the names that granularities give them.
class TargetNames {
 public:
  TargetNames(const Surface& surface, const NumberFormat& format) : format_(format) {
    for (const Granularity& granularity : NamingGranularities()) {
      absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, format);
      if (!targets.ok()) {
        continue;  // the model has none of these
      }
      for (Target& target : *targets) {
        std::vector<Target>& named = targets_[target.name];
        if (named.empty() || !SameRanges(named.front(), target)) {
          named.push_back(std::move(target));
        }
      }
    }
  }

  // "blocks.3", "blocks.3.bit7", "bit7".
  absl::StatusOr<Target> Find(const std::string& name) const {
    if (const auto named = targets_.find(name); named != targets_.end()) {
      return TheOne(name, named->second);
    }
    const size_t bit = name.rfind("bit");
    int position;
    if (bit != std::string::npos && (bit == 0 || name[bit - 1] == '.') &&
        absl::SimpleAtoi(name.substr(bit + 3), &position) && position >= 0 &&
        position < format_.bits) {
      const std::string whole = bit == 0 ? "model" : name.substr(0, bit - 1);
      if (const auto named = targets_.find(whole); named != targets_.end()) {
        ASSIGN_OR_RETURN(Target target, TheOne(whole, named->second));
        target.positions = uint32_t{1} << position;
        return target;
      }
    }
    std::vector<std::string> names;
    for (const auto& [known, targets] : targets_) {
      names.push_back(known);
    }
    return absl::NotFoundError(absl::StrCat("protect: no target '", Shown(name), "' in ",
                                            format_.Name(), DidYouMean(name, names),
                                            "; `bitquake inspect` prints the names"));
  }

 private:
  static absl::StatusOr<Target> TheOne(const std::string& name,
                                       const std::vector<Target>& targets) {
    if (targets.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "protect: '", Shown(name), "' is a target of ", targets[0].granularity, " and of ",
          targets[1].granularity, "; name its tensors, or give {match: ...}"));
    }
    return targets.front();
  }

  NumberFormat format_;
  std::map<std::string, std::vector<Target>> targets_;
};

// The most significant `top` bits of a word; of 0, all.
uint32_t TopPositions(int top, const NumberFormat& format) {
  const uint32_t all = ~uint32_t{0} >> (32 - format.bits);
  return top == 0 ? all : all & ~static_cast<uint32_t>(uint64_t{all} >> top);
}

}  // namespace

absl::StatusOr<ProtectedBits> ProtectedBits::Find(const Surface& surface,
                                                  const std::vector<FaultModel::Protected>& protect,
                                                  const NumberFormat& format) {
  ProtectedBits bits;
  bits.word_ = ~uint32_t{0} >> (32 - format.bits);
  if (protect.empty()) {
    return bits;
  }
  const TargetNames names(surface, format);
  for (const FaultModel::Protected& entry : protect) {
    const uint32_t top = TopPositions(entry.top, format);
    std::vector<Target> targets;
    if (entry.match.empty()) {
      ASSIGN_OR_RETURN(Target named, names.Find(entry.target));
      targets.push_back(std::move(named));
    } else {
      Granularity matching;
      matching.kind = Kind::kRegex;
      matching.pattern = entry.match;
      absl::StatusOr<std::vector<Target>> matched = ExpandTargets(surface, matching, format);
      if (!matched.ok()) {
        return absl::Status(matched.status().code(),
                            absl::StrCat("protect: ", matched.status().message()));
      }
      targets = *std::move(matched);
    }
    for (const Target& target : targets) {
      for (const WordRange& range : target.ranges) {
        bits.Add(range, top & target.positions);
      }
    }
  }
  return bits;
}

void ProtectedBits::Add(const WordRange& range, uint32_t positions) {
  Intervals& intervals = by_tensor_[range.tensor];
  intervals.emplace(0, 0);
  const auto split = [&intervals](int64_t at) {
    return intervals.emplace(at, std::prev(intervals.upper_bound(at))->second).first;
  };
  const auto end = split(range.first + range.count);
  for (auto it = split(range.first); it != end; ++it) {
    it->second |= positions;
  }
}

uint32_t ProtectedBits::Of(int tensor, int64_t word) const {
  const auto intervals = by_tensor_.find(tensor);
  return intervals == by_tensor_.end() ? 0 : std::prev(intervals->second.upper_bound(word))->second;
}

Target ProtectedBits::Without(const Target& target) const {
  Target rest = target;
  rest.ranges.clear();
  for (const WordRange& range : target.ranges) {
    const auto found = by_tensor_.find(range.tensor);
    if (found == by_tensor_.end()) {
      rest.ranges.push_back(range);
      continue;
    }
    const Intervals& intervals = found->second;
    const int64_t end = range.first + range.count;
    for (auto it = std::prev(intervals.upper_bound(range.first));
         it != intervals.end() && it->first < end; ++it) {
      const int64_t first = std::max(range.first, it->first);
      const auto next = std::next(it);
      const int64_t last = next == intervals.end() ? end : std::min(end, next->first);
      const uint32_t left = range.positions & ~it->second;
      if ((left & target.positions & word_) != 0) {
        rest.ranges.push_back({range.tensor, first, last - first, left});
      }
    }
  }
  return rest;
}

FaultList ProtectedBits::Without(FaultList flips) const {
  FaultList rest;
  for (TensorFaults& hit : flips.tensors) {
    TensorFaults left{hit.tensor, {}};
    for (const WordFault& fault : hit.faults) {
      if (const uint32_t mask = fault.mask & ~Of(hit.tensor, fault.index); mask != 0) {
        left.faults.push_back({fault.index, mask});
      }
    }
    if (!left.faults.empty()) {
      rest.tensors.push_back(std::move(left));
    }
  }
  return rest;
}

}  // namespace bitquake
