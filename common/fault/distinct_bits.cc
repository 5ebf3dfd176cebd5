// The k-th smallest u of N bits lies near k / N. Faults below a rate that is safely less are in;
// only the bits between that and a rate safely more are put in order. So the memory is that of the
// faults, even for half of a model's bits.
#include "common/fault/distinct_bits.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/fault/target_cut.h"

namespace bitquake {
namespace {

// So many bits are all put in order, in one pass instead of two.
constexpr int64_t kFew = 1 << 16;

struct TargetBit {
  int tensor;
  RankedBit ranked;

  auto place() const { return std::tie(tensor, ranked.bit); }
};

bool HasLowerRank(const TargetBit& a, const TargetBit& b) {
  const auto u = [](const TargetBit& bit) {
    return std::make_pair(-bit.ranked.rung, bit.ranked.depth);
  };
  return u(a) != u(b) ? u(a) < u(b) : a.place() < b.place();
}

class DistinctBits {
 public:
  DistinctBits(const FaultSampler& sampler, const Surface& surface, const Target& target,
               int bits_per_word, uint32_t positions, uint32_t trial)
      : sampler_(sampler),
        surface_(surface),
        target_(target),
        bits_per_word_(bits_per_word),
        positions_(positions),
        trial_(trial) {}

  FaultList Below(double rate) const {
    return DrawWithin(surface_, target_, positions_,
                      [&](int tensor) { return sampler_.Sample(Words(tensor), trial_, rate); });
  }

  std::vector<TargetBit> Between(double from, double below) const {
    std::vector<TargetBit> bits;
    for (const TensorRanges& hit : ByTensor(target_)) {
      for (const RankedBit& ranked :
           sampler_.SampleBetween(Words(hit.tensor), trial_, from, below)) {
        const uint32_t allowed = positions_ & hit.PositionsAt(ranked.bit / bits_per_word_);
        if ((allowed >> (ranked.bit % bits_per_word_) & 1) != 0) {
          bits.push_back({hit.tensor, ranked});
        }
      }
    }
    return bits;
  }

 private:
  WordArray Words(int tensor) const {
    return {surface_[tensor].name, surface_[tensor].words(), bits_per_word_};
  }

  const FaultSampler& sampler_;
  const Surface& surface_;
  const Target& target_;
  const int bits_per_word_;
  const uint32_t positions_;
  const uint32_t trial_;
};

// As a list; `bits` are ordered by place.
FaultList Merged(const std::vector<TargetBit>& bits, int bits_per_word) {
  FaultList list;
  for (const TargetBit& bit : bits) {
    if (list.tensors.empty() || list.tensors.back().tensor != bit.tensor) {
      list.tensors.push_back({bit.tensor, {}});
    }
    std::vector<WordFault>& words = list.tensors.back().faults;
    const int64_t index = bit.ranked.bit / bits_per_word;
    if (words.empty() || words.back().index != index) {
      words.push_back({index, 0});
    }
    words.back().mask |= uint32_t{1} << (bit.ranked.bit % bits_per_word);
  }
  return list;
}

std::vector<WordFault> Union(const std::vector<WordFault>& a, const std::vector<WordFault>& b) {
  std::vector<WordFault> all;
  all.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all),
             [](const WordFault& x, const WordFault& y) { return x.index < y.index; });
  size_t last = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    if (all[i].index == all[last].index) {
      all[last].mask |= all[i].mask;
    } else {
      all[++last] = all[i];
    }
  }
  all.resize(std::min(all.size(), last + 1));
  return all;
}

FaultList Union(FaultList a, FaultList b) {
  FaultList all;
  auto from_a = a.tensors.begin();
  auto from_b = b.tensors.begin();
  while (from_a != a.tensors.end() || from_b != b.tensors.end()) {
    if (from_b == b.tensors.end() ||
        (from_a != a.tensors.end() && from_a->tensor < from_b->tensor)) {
      all.tensors.push_back(std::move(*from_a++));
    } else if (from_a == a.tensors.end() || from_b->tensor < from_a->tensor) {
      all.tensors.push_back(std::move(*from_b++));
    } else {
      all.tensors.push_back({from_a->tensor, Union(from_a->faults, from_b->faults)});
      ++from_a;
      ++from_b;
    }
  }
  return all;
}

}  // namespace

absl::Status CheckCount(const Target& target, int64_t bits, int64_t count) {
  if (count <= bits) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("target '", target.name, "' has only ", bits,
                                                 " bits that can be hit, not ", count));
}

absl::StatusOr<FaultList> DrawDistinctBits(const FaultSampler& sampler, const Surface& surface,
                                           const Target& target, int bits_per_word,
                                           uint32_t positions, int64_t count, uint32_t trial) {
  const int64_t bits = BitsAt(target, positions);
  RETURN_IF_ERROR(CheckCount(target, bits, count));
  if (count <= 0) {
    return FaultList();
  }
  const DistinctBits drawn(sampler, surface, target, bits_per_word, positions, trial);
  const auto wanted = static_cast<double>(count);
  const auto all = static_cast<double>(bits);
  // Two standard deviations: one draw in twenty needs a second round. In the end the bounds are 0
  // and 1.
  const double deviation = std::sqrt(wanted * (1 - wanted / all));
  for (double slack = 2 * deviation + 2;; slack *= 4) {
    const double from = count <= kFew ? 0 : std::max(0.0, (wanted - slack) / all);
    const double below = std::min(1.0, (wanted + slack) / all);
    FaultList in = drawn.Below(from);
    const int64_t left = count - in.flips();
    if (left < 0) {
      continue;
    }
    std::vector<TargetBit> near = drawn.Between(from, below);
    if (static_cast<int64_t>(near.size()) < left) {
      continue;
    }
    std::nth_element(near.begin(), near.begin() + left, near.end(), HasLowerRank);
    near.resize(left);
    std::sort(near.begin(), near.end(),
              [](const TargetBit& a, const TargetBit& b) { return a.place() < b.place(); });
    return Union(std::move(in), Merged(near, bits_per_word));
  }
}

}  // namespace bitquake
