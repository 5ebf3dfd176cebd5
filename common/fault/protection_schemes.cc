#include "common/fault/protection_schemes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/fault/memory_words.h"
#include "common/fault/secded.h"

namespace bitquake {
namespace {

uint32_t WholeWord(const NumberFormat& format) { return ~uint32_t{0} >> (32 - format.bits); }

// Walks lists of faults together, from index to index.
class Cursor {
 public:
  explicit Cursor(const std::vector<WordFault>& faults) : at_(faults.begin()), end_(faults.end()) {}

  // Of the next fault; past every index if there is none.
  int64_t index() const { return at_ == end_ ? std::numeric_limits<int64_t>::max() : at_->index; }
  // The mask at `index`, which is not after the next fault's, and moves past it.
  uint32_t Take(int64_t index) { return this->index() == index ? (at_++)->mask : 0; }
  bool done() const { return at_ == end_; }

 private:
  std::vector<WordFault>::const_iterator at_;
  std::vector<WordFault>::const_iterator end_;
};

class Residue {
 public:
  void Add(int64_t index, uint32_t mask) {
    if (mask != 0) {
      flips_.push_back({index, mask});
    }
  }
  std::vector<WordFault> Take() && { return std::move(flips_); }

 private:
  std::vector<WordFault> flips_;
};

std::vector<WordFault> Secded(const Protection& protection, const MemoryFaults& faults,
                              const NumberFormat& format, const GoldenWords& golden) {
  const MemoryWords memory = {format.bits};
  Cursor words(faults.flips);
  Cursor checks(faults.check_bits);
  Residue residue;
  while (!words.done() || !checks.done()) {
    const int64_t at = std::min(words.done() ? checks.index() : memory.Of(words.index()),
                                checks.done() ? memory.Of(words.index()) : checks.index());
    const int64_t first = at * memory.words_each();
    const int64_t end = std::min(first + memory.words_each(), faults.words);
    SecdedFlips flips;
    flips.check = static_cast<uint8_t>(checks.Take(at));
    while (words.index() < end) {
      const int64_t word = words.index();
      flips.data |= uint64_t{words.Take(word)} << memory.ShiftOf(word);
    }
    const SecdedResult result = DecodeSecded(flips);
    const bool zero =
        result.uncorrectable && protection.uncorrectable == Protection::Uncorrectable::kZero;
    for (int64_t word = first; word < end; ++word) {
      residue.Add(word, zero ? golden.Word(faults.tensor, word)
                             : static_cast<uint32_t>(result.data_flips >> memory.ShiftOf(word)) &
                                   WholeWord(format));
    }
  }
  return std::move(residue).Take();
}

std::vector<WordFault> Parity(const MemoryFaults& faults, const GoldenWords& golden) {
  Cursor words(faults.flips);
  Cursor checks(faults.check_bits);
  Residue residue;
  while (!words.done() || !checks.done()) {
    const int64_t word = std::min(words.index(), checks.index());
    const uint32_t mask = words.Take(word);
    const int flips = __builtin_popcount(mask) + __builtin_popcount(checks.Take(word));
    residue.Add(word, flips % 2 == 1 ? golden.Word(faults.tensor, word) : mask);
  }
  return std::move(residue).Take();
}

std::vector<WordFault> Tmr(const Protection& protection, const MemoryFaults& faults,
                           const NumberFormat& format) {
  const uint32_t copied = WholeWord(format) & ~static_cast<uint32_t>(uint64_t{WholeWord(format)} >>
                                                                     protection.copied_bits);
  Cursor first(faults.flips);
  Cursor second(faults.second_copy);
  Cursor third(faults.third_copy);
  Residue residue;
  while (!first.done() || !second.done() || !third.done()) {
    const int64_t word = std::min({first.index(), second.index(), third.index()});
    const uint32_t a = first.Take(word);
    const uint32_t b = second.Take(word);
    const uint32_t c = third.Take(word);
    const uint32_t majority = (a & b) | (a & c) | (b & c);
    residue.Add(word, (a & ~copied) | (majority & copied));
  }
  return std::move(residue).Take();
}

// The word whose value is the nearest to `value`, which is outside of the range, within it.
uint32_t NearestInside(float value, const ValueRange& range, float scale,
                       const NumberFormat& format) {
  const bool above = value > range.high;
  if (format.kind != NumberFormat::Kind::kInt) {
    return above ? range.high_word : range.low_word;  // the format's values do not depend on scales
  }
  // The end is another channel's value where each has its own scale.
  const double end = above ? range.high : range.low;
  const double ratio = end / scale;
  const double limit = std::ldexp(1.0, format.bits - 1);
  double q = std::clamp(above ? std::floor(ratio) : std::ceil(ratio), -limit, limit - 1);
  const auto word = [&](double of) {
    return static_cast<uint32_t>(static_cast<int32_t>(of)) & WholeWord(format);
  };
  const auto inside = [&](double of) {
    const float candidate = Dequantize(word(of), scale, format);
    return candidate >= range.low && candidate <= range.high;
  };
  // A value is rounded after its product, and so may be on the other side of the end by one step.
  const double inwards = above ? -1 : 1;
  const double next = q - inwards;
  if (next >= -limit && next < limit && inside(next)) {
    q = next;
  } else if (!inside(q) && q != 0) {
    q += inwards;
  }
  return word(q);
}

std::vector<WordFault> Clamp(const Protection& protection, const MemoryFaults& faults,
                             const NumberFormat& format, const GoldenWords& golden) {
  const ValueRange range = golden.Range(faults.tensor);
  Residue residue;
  for (const WordFault& fault : faults.flips) {
    const uint32_t stored = golden.Word(faults.tensor, fault.index);
    const float scale = golden.Scale(faults.tensor, fault.index);
    uint32_t read = stored ^ fault.mask;
    const float value = Dequantize(read, scale, format);
    if (std::isnan(value)) {
      read = 0;
    } else if (value < range.low || value > range.high) {
      read = protection.outside == Protection::Outside::kZero
                 ? 0
                 : NearestInside(value, range, scale, format);
    }
    residue.Add(fault.index, read ^ stored);
  }
  return std::move(residue).Take();
}

}  // namespace

std::vector<WordFault> ResidualFlips(const Protection& protection, const MemoryFaults& faults,
                                     const NumberFormat& format, const GoldenWords& golden) {
  switch (protection.scheme) {
    case Protection::Scheme::kNone:
      return faults.flips;
    case Protection::Scheme::kSecded:
      return Secded(protection, faults, format, golden);
    case Protection::Scheme::kParity:
      return Parity(faults, golden);
    case Protection::Scheme::kTmr:
      return Tmr(protection, faults, format);
    case Protection::Scheme::kClamp:
      return Clamp(protection, faults, format, golden);
  }
  return faults.flips;
}

}  // namespace bitquake
