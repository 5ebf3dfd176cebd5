// How stored words of up to 32 bits lie in a memory of 64-bit words: a tensor begins a memory word;
// its words follow each other in index order, the first in the lowest bits, as many as fit whole
// (int8: 8, int4: 16, int3: 21). Bits that are left over, in a memory word or after the tensor's
// last word, are zero and no fault hits them.
#pragma once

#include <cstdint>

namespace bitquake {

struct MemoryWords {
  int bits_per_word;  // stored, 1..32

  int words_each() const { return 64 / bits_per_word; }
  // That hold `words` stored words, or in which so many whole ones begin.
  int64_t CountFor(int64_t words) const { return (words + words_each() - 1) / words_each(); }
  int64_t Of(int64_t word) const { return word / words_each(); }
  int ShiftOf(int64_t word) const { return static_cast<int>(word % words_each()) * bits_per_word; }
};

}  // namespace bitquake
