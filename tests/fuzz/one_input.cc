// What libFuzzer calls, and replay.cc: a target's Fuzz, with what holds of all of them.
#include <ctime>

#include "tests/fuzz/must.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::clock_t start = std::clock();
  const int result = bitquake::Fuzz(data, size);
  // Of the processor: how busy the machine is has no part in it.
  bitquake::Must(std::clock() - start <= CLOCKS_PER_SEC, "an input takes at most a second");
  return result;
}
