// Which bits of a stored tensor are faulty in one trial.
//
// A fault set is a pure function of (seed, tensor name, trial): the same on every worker, for every
// batch size and order. Each bit has a uniform u in [0, 1) and is faulty at rate p iff u < p, so
// sets nest: the set at a lower rate is a subset of the set at a higher one. Cost grows with the
// number of faults.
//
//   FaultSampler sampler(/*seed=*/2418);
//   for (WordFault f : sampler.Sample({"blocks.0.mlp.fc1.weight", words, 8}, /*trial=*/3, 1e-6)) {
//     word[f.index] ^= f.mask;
//   }
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace bitquake {

// What is drawn apart from each other: the words of a tensor, and what a protection scheme stores
// beside them.
enum class MemoryPart { kWords, kCheckBits, kSecondCopy, kThirdCopy };

// The stored words of one tensor, row-major; or as many units of another part of its memory.
struct WordArray {
  absl::string_view name;  // of the tensor, as in the checkpoint
  int64_t count;           // words
  int bits_per_word;       // 1..32
  MemoryPart part = MemoryPart::kWords;
};

// All faults in one word, merged.
struct WordFault {
  int64_t index;       // into the words
  uint32_t mask;       // faulty bits, bit 0 = least significant
  uint32_t value = 0;  // what they are set to, within the mask; 0 where bits flip
};

inline bool operator==(const WordFault& a, const WordFault& b) {
  return a.index == b.index && a.mask == b.mask && a.value == b.value;
}

// A bit and its u = 2^-rung (1 + depth / 2^64).
struct RankedBit {
  int64_t bit;  // of the tensor: word * bits_per_word + bit of the word
  int rung;     // 1 or more
  uint64_t depth;
};

class FaultSampler {  // thread-safe; cheap to copy
 public:
  explicit FaultSampler(uint64_t seed) : seed_(seed) {}

  // Faults at bit-error rate `ber` in [0, 1], ordered by index, each index once.
  std::vector<WordFault> Sample(WordArray words, uint32_t trial, double ber) const;

  // The bits with from <= u < below, both in [0, 1], in no order. The time is that of Sample at
  // `below`, the memory only that of the result.
  std::vector<RankedBit> SampleBetween(WordArray words, uint32_t trial, double from,
                                       double below) const;

  // Words that are replaced by random bits, each with probability `rate`, ordered by index: the
  // mask is the whole word. They nest across rates as bits do, and a word's value is the same at
  // every rate. Drawn apart from the bits, with a u for each word.
  std::vector<WordFault> SampleWords(WordArray words, uint32_t trial, double rate) const;

 private:
  uint64_t seed_;
};

}  // namespace bitquake
