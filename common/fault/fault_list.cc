#include "common/fault/fault_list.h"

#include <algorithm>
#include <utility>

#include "common/base/digest.h"

namespace bitquake {
namespace {

// Appends those of `faults` (ordered) that are in `range`.
void AppendWithin(const std::vector<WordFault>& faults, const WordRange& range,
                  std::vector<WordFault>* out) {
  const auto before = [](const WordFault& fault, int64_t index) { return fault.index < index; };
  const auto first = std::lower_bound(faults.begin(), faults.end(), range.first, before);
  const auto last = std::lower_bound(first, faults.end(), range.first + range.count, before);
  out->insert(out->end(), first, last);
}

}  // namespace

int64_t FaultList::flips() const {
  int64_t sum = 0;
  for (const TensorFaults& tensor : tensors) {
    for (const WordFault& fault : tensor.faults) {
      sum += __builtin_popcount(fault.mask);
    }
  }
  return sum;
}

std::vector<int64_t> FaultList::FlipsPerBit(int bits_per_word) const {
  std::vector<int64_t> flips(bits_per_word);
  for (const TensorFaults& tensor : tensors) {
    for (const WordFault& fault : tensor.faults) {
      for (uint32_t left = fault.mask; left != 0; left &= left - 1) {
        ++flips[__builtin_ctz(left)];
      }
    }
  }
  return flips;
}

std::string FaultList::Digest(const Surface& surface) const {
  Xxh3 digest;
  for (const TensorFaults& tensor : tensors) {
    digest.UpdateText(surface[tensor.tensor].name);
    digest.UpdateValue<uint64_t>(tensor.faults.size());
    for (const WordFault& fault : tensor.faults) {
      digest.UpdateValue<uint64_t>(fault.index);
      digest.UpdateValue<uint32_t>(fault.mask);
      if (effect == Effect::kSet) {
        digest.UpdateValue<uint32_t>(fault.value);
      }
    }
  }
  return digest.Hex();
}

absl::StatusOr<FaultList> DrawFaults(const Surface& surface, const Target& target,
                                     const FaultModel& model, const NumberFormat& format,
                                     uint64_t seed, uint32_t trial, double ber) {
  if (model.kind != FaultModel::Kind::kBitFlip) {
    return absl::UnimplementedError("fault model");
  }
  const FaultSampler sampler(seed);
  FaultList list;
  auto range = target.ranges.begin();
  while (range != target.ranges.end()) {
    const int index = range->tensor;
    const SurfaceTensor& tensor = surface[index];
    std::vector<WordFault> drawn =
        sampler.Sample({tensor.name, tensor.words(), format.bits}, trial, ber);
    std::vector<WordFault> within;
    if (range->count == tensor.words()) {
      within = std::move(drawn);
      ++range;
    } else {
      for (; range != target.ranges.end() && range->tensor == index; ++range) {
        AppendWithin(drawn, *range, &within);
      }
    }
    if (!within.empty()) {
      list.tensors.push_back({index, std::move(within)});
    }
  }
  return list;
}

}  // namespace bitquake
