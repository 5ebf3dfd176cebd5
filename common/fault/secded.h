// The code of a 64-bit memory word with 8 check bits: Hsiao's (72,64), "A class of optimal minimum
// odd-weight-column SEC-DED codes", IBM J. Res. Dev. 14(4), 1970. The column of a bit is the
// syndrome that its flip makes: of check bit i, 1 << i; of the data bits 0 to 55, the bytes of
// three ones in ascending order; of data bits 56 to 63, 00011111 rotated left by 0 to 7. So every
// row has 27 ones, 26 of data.
#pragma once

#include <array>
#include <cstdint>

namespace bitquake {

// Flipped bits of a memory word.
struct SecdedFlips {
  uint64_t data = 0;
  uint8_t check = 0;
};

// By data bit.
const std::array<uint8_t, 64>& SecdedColumns();

struct SecdedResult {
  uint64_t data_flips;  // that are left after the decoder's correction, right or wrong
  // The syndrome is of no single flip: detected, and nothing is corrected.
  bool uncorrectable;
};

// What the decoder does with a memory word that has these flips; the code is linear, so it does not
// depend on what was stored. No syndrome: nothing. A bit's column: that bit is inverted, which is
// wrong of three flips and more. Any other: uncorrectable.
SecdedResult DecodeSecded(const SecdedFlips& flips);

}  // namespace bitquake
