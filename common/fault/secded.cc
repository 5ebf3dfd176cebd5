#include "common/fault/secded.h"

namespace bitquake {
namespace {

constexpr int kNoBit = -1;
constexpr int kCheckBit = 64;

std::array<uint8_t, 64> MakeColumns() {
  std::array<uint8_t, 64> columns{};
  int next = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (__builtin_popcount(byte) == 3) {
      columns[next++] = static_cast<uint8_t>(byte);
    }
  }
  constexpr int kFiveOnes = 0x1F;
  for (int turn = 0; turn < 8; ++turn) {
    columns[next++] = static_cast<uint8_t>(kFiveOnes << turn | kFiveOnes >> (8 - turn));
  }
  return columns;
}

// The bit that a syndrome is the column of: a data bit, kCheckBit for any check bit, or kNoBit.
std::array<int8_t, 256> MakeBits() {
  std::array<int8_t, 256> bits;
  bits.fill(kNoBit);
  for (int check = 0; check < 8; ++check) {
    bits[1 << check] = kCheckBit;
  }
  for (int bit = 0; bit < 64; ++bit) {
    bits[SecdedColumns()[bit]] = static_cast<int8_t>(bit);
  }
  return bits;
}

}  // namespace

const std::array<uint8_t, 64>& SecdedColumns() {
  static const std::array<uint8_t, 64> columns = MakeColumns();
  return columns;
}

SecdedResult DecodeSecded(const SecdedFlips& flips) {
  static const std::array<int8_t, 256> bits = MakeBits();
  uint8_t syndrome = flips.check;
  for (uint64_t left = flips.data; left != 0; left &= left - 1) {
    syndrome ^= SecdedColumns()[__builtin_ctzll(left)];
  }
  if (syndrome == 0) {
    return {flips.data, false};
  }
  const int bit = bits[syndrome];
  if (bit == kNoBit) {
    return {flips.data, true};
  }
  return {bit == kCheckBit ? flips.data : flips.data ^ uint64_t{1} << bit, false};
}

}  // namespace bitquake
