// For formats whose checksums no mutation would leave right: a target that includes this defines
//
//   void MendChecksums(uint8_t* data, size_t size);
//
// which then runs after most of libFuzzer's mutations.
#pragma once

#include <cstddef>
#include <cstdint>

void MendChecksums(uint8_t* data, size_t size);

#ifdef BITQUAKE_FUZZ
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed % 8 != 0) {
    MendChecksums(data, size);
  }
  return size;
}
#endif
