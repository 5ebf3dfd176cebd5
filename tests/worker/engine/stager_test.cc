#include "worker/engine/stager.h"

#include <gtest/gtest.h>

#include "tests/worker/engine/fixtures.h"

namespace bitquake {
namespace {

class StagerTest : public ::testing::TestWithParam<bool> {  // overlap
 protected:
  void SetUp() override {
    model_ = LoadedModel::Load(snapshot_, snapshot_.surface, int8_, {}, at::kCPU,
                               ComputeMode{at::kHalf, false})
                 .value();
  }

  const ModelSnapshot snapshot_ = RandomSnapshot(TestVit(), 3);
  const NumberFormat int8_ = Format("int8");
  const FaultList few_ = RandomFaults(snapshot_, int8_, 0, 0, 3, 1);
  const FaultList many_ = RandomFaults(snapshot_, int8_, 0, 4, 9, 2);
  std::unique_ptr<LoadedModel> model_;
};

TEST_P(StagerTest, TakesWhatWasBegunInItsOrder) {
  Stager stager(model_.get(), GetParam());
  stager.Begin(&few_);
  for (int i = 0; i < 20; ++i) {
    const StagedFlips staged = stager.Take();
    stager.Begin(i % 2 == 0 ? &many_ : &few_);
    EXPECT_EQ(staged.flips, i % 2 == 0 ? &few_ : &many_);
    EXPECT_TRUE(staged.uploaded.places.equal(model_->Stage(*staged.flips).uploaded.places));
  }
  stager.Drop();
  stager.Drop();
  stager.Begin(&few_);
  EXPECT_EQ(stager.Take().flips, &few_) << "what was dropped is not taken later";
}

TEST_P(StagerTest, EndsWithWorkBegun) {
  Stager stager(model_.get(), GetParam());
  stager.Begin(&many_);
}

INSTANTIATE_TEST_SUITE_P(Overlap, StagerTest, ::testing::Bool());

}  // namespace
}  // namespace bitquake
