// As the worker's main does: what makes torch reproducible is set before anything else.
#include <gtest/gtest.h>

#include "worker/engine/evaluator.h"

int main(int argc, char** argv) {
  bitquake::PrepareProcess();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
