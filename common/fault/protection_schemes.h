// What a protection scheme makes of the faults in a tensor's memory. Pure: golden's words in, flips
// of golden's words out.
#pragma once

#include <cstdint>
#include <vector>

#include "common/fault/fault_list.h"
#include "common/fault/golden_words.h"
#include "common/fault/number_format.h"
#include "common/fault/protection.h"
#include "common/fault/sampler.h"

namespace bitquake {

// What a trial hits in the memory of one tensor. All lists are ordered by index.
struct MemoryFaults {
  int tensor = 0;                     // index into the surface
  int64_t words = 0;                  // of the tensor
  std::vector<WordFault> flips;       // of the stored words
  std::vector<WordFault> check_bits;  // secded: 8 of each memory word; parity: one of each word
  // tmr: flips of the other two copies, of which the top bits exist.
  std::vector<WordFault> second_copy;
  std::vector<WordFault> third_copy;
};

// The bits of golden's words that the network reads inverted; not cut to what was hit: a memory
// word that becomes 0 does so whole. Ordered by index, no mask is 0.
std::vector<WordFault> ResidualFlips(const Protection& protection, const MemoryFaults& faults,
                                     const NumberFormat& format, const GoldenWords& golden);

}  // namespace bitquake
