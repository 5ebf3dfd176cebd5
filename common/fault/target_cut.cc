#include "common/fault/target_cut.h"

#include <algorithm>
#include <utility>

namespace bitquake {
namespace {

void KeepPositions(uint32_t positions, std::vector<WordFault>* faults) {
  for (WordFault& fault : *faults) {
    fault.mask &= positions;
    fault.value &= positions;
  }
  faults->erase(std::remove_if(faults->begin(), faults->end(),
                               [](const WordFault& fault) { return fault.mask == 0; }),
                faults->end());
}

// Appends those of `faults` (ordered) that are in `range`, at its positions.
void AppendWithin(const std::vector<WordFault>& faults, const WordRange& range,
                  std::vector<WordFault>* out) {
  const auto before = [](const WordFault& fault, int64_t index) { return fault.index < index; };
  const auto first = std::lower_bound(faults.begin(), faults.end(), range.first, before);
  const auto last = std::lower_bound(first, faults.end(), range.first + range.count, before);
  for (auto fault = first; fault != last; ++fault) {
    out->push_back({fault->index, fault->mask & range.positions, fault->value & range.positions});
  }
}

}  // namespace

uint32_t TensorRanges::PositionsAt(int64_t word) const {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), word,
                       [](int64_t at, const WordRange& range) { return at < range.first; });
  if (after == ranges.begin() || word >= (after - 1)->first + (after - 1)->count) {
    return 0;
  }
  return (after - 1)->positions;
}

std::vector<TensorRanges> ByTensor(const Target& target) {
  std::vector<TensorRanges> tensors;
  const absl::Span<const WordRange> all(target.ranges);
  size_t first = 0;
  for (size_t i = 1; i <= all.size(); ++i) {
    if (i == all.size() || all[i].tensor != all[first].tensor) {
      tensors.push_back({all[first].tensor, all.subspan(first, i - first)});
      first = i;
    }
  }
  return tensors;
}

FaultList DrawWithin(const Surface& surface, const Target& target, uint32_t positions,
                     const std::function<std::vector<WordFault>(int tensor)>& draw) {
  FaultList list;
  for (const TensorRanges& hit : ByTensor(target)) {
    std::vector<WordFault> drawn = draw(hit.tensor);
    std::vector<WordFault> within;
    if (hit.ranges[0].count == surface[hit.tensor].words()) {
      within = std::move(drawn);
      KeepPositions(hit.ranges[0].positions, &within);
    } else {
      for (const WordRange& range : hit.ranges) {
        AppendWithin(drawn, range, &within);
      }
    }
    KeepPositions(positions, &within);
    if (!within.empty()) {
      list.tensors.push_back({hit.tensor, std::move(within)});
    }
  }
  return list;
}

}  // namespace bitquake
