// What every family's graph promises: stages resume where they should.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <functional>

#include "common/model/network_tensors.h"
#include "tests/worker/engine/fixtures.h"
#include "worker/engine/loaded_model.h"

namespace bitquake {
namespace {

struct Network {
  const char* name;
  std::function<ModelSnapshot()> make;
  int stages;
};

template <typename Test>
Network Of(const char* name, const Test& test, int stages) {
  return {name, [test] { return RandomSnapshot(test, 3); }, stages};
}

TestVit Vit(bool pre_norm, bool distilled) {
  TestVit vit;
  vit.pre_norm = pre_norm;
  vit.distilled = distilled;
  return vit;
}

class Graph : public ::testing::TestWithParam<Network> {
 protected:
  // Sums depend on the number of threads: as in the pool, one.
  void SetUp() override {
    at::set_num_threads(1);
    at::manual_seed(7);
    snapshot_ = GetParam().make();
    auto model = LoadedModel::Load(snapshot_, snapshot_.surface, Format("fp32"), {}, at::kCPU, {});
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    const Preprocessing& input = snapshot_.architecture.preprocessing;
    images_ = at::rand({2, 3, input.height, input.width});
  }

  const ModelGraph& graph() const { return model_->graph(); }

  // What stages 0 to `stage` - 1 make of the images.
  Activations InputOf(int stage) const {
    Activations a = images_;
    for (int s = 0; s < stage; ++s) {
      a = graph().RunStage(s, a);
    }
    return a;
  }

  static bool Equal(const Activations& a, const Activations& b) {
    return a.x.equal(b.x) && a.branch.defined() == b.branch.defined() &&
           (!a.branch.defined() || a.branch.equal(b.branch));
  }

  ModelSnapshot snapshot_;
  std::unique_ptr<LoadedModel> model_;
  at::Tensor images_;
};

// So a trial that resumes at the first faulty stage gives what a whole run would.
TEST_P(Graph, AChangedParameterShowsFromItsStageOn) {
  const at::Tensor golden = graph().RunFrom(0, images_);
  int parameters = 0;
  for (const auto& [tensor, kind] : NetworkTensors(snapshot_.architecture, snapshot_.Tensors())) {
    if (kind != TensorKind::kParameter) {
      continue;
    }
    ++parameters;
    const int stage = graph().StageOf(tensor.name);
    const Activations kept_input = InputOf(stage);
    const Activations kept_output = graph().RunStage(stage, kept_input);
    at::Tensor weight = model_->weights().find(tensor.name)->second;
    const at::Tensor kept = weight.clone();
    weight.add_(at::randn(weight.sizes()));
    const at::Tensor whole = graph().RunFrom(0, images_);
    EXPECT_TRUE(graph().RunFrom(stage, kept_input).equal(whole)) << tensor.name;
    EXPECT_FALSE(whole.equal(golden)) << tensor.name << " is not read";
    EXPECT_FALSE(Equal(graph().RunStage(stage, kept_input), kept_output))
        << tensor.name << " is only read after stage " << stage;
    weight.copy_(kept);
  }
  EXPECT_GE(parameters, 40);
  EXPECT_TRUE(graph().RunFrom(0, images_).equal(golden));
}

TEST_P(Graph, StagesLeaveTheirInputAsItIs) {
  EXPECT_EQ(graph().stage_count(), GetParam().stages);
  Activations a = images_;
  for (int stage = 0; stage < graph().stage_count(); ++stage) {
    EXPECT_EQ(a.x.numel() + (a.branch.defined() ? a.branch.numel() : 0),
              graph().InputSize(stage) * images_.size(0))
        << stage;
    const Activations copy(a.x.clone(), a.branch.defined() ? a.branch.clone() : a.branch);
    const Activations next = graph().RunStage(stage, a);
    EXPECT_TRUE(Equal(a, copy)) << stage;
    a = next;
  }
  EXPECT_EQ(a.x.size(1), snapshot_.architecture.num_classes);
}

TEST_P(Graph, AnImagesLogitsDoNotDependOnItsNeighbours) {
  const at::Tensor logits = graph().RunFrom(0, images_);
  at::Tensor others = images_.clone();
  others[0].zero_();
  EXPECT_TRUE(graph().RunFrom(0, others)[1].equal(logits[1]));
  EXPECT_FALSE(graph().RunFrom(0, others)[0].equal(logits[0]));
}

TEST_P(Graph, TensorsThatItDoesNotHaveAreOfTheFirstStage) {
  for (const char* name : {"", "layers", "layers.99.blocks.0.norm1.weight", "fc.weight"}) {
    EXPECT_EQ(graph().StageOf(name), 0) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Graph,
                         ::testing::Values(Of("Vit", Vit(false, false), 14),
                                           Of("ClipVit", Vit(true, false), 14),
                                           Of("DistilledVit", Vit(false, true), 14),
                                           Of("Swin", TestSwin(), 19),
                                           Of("DeepVit", TestDeepVit(), 14)),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace bitquake
