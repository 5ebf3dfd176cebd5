// Networks that come as code: the same promises as of the native ones, and what is refused.
#include <gmock/gmock.h>
#include <torch/script.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/worker/engine/fixtures.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kClasses = 5;

// What TestImages needs to know.
struct ScriptNetwork {
  int image = 4;
  int classes = kClasses;
};

constexpr char kForward[] = R"(
def forward(self, x):
    x = torch.conv2d(x, self.conv, self.bias) * self.running_mean[0]
    return torch.mm(x.mul_(2).flatten(1), self.fc.t())
)";

Json Config() {
  return {{"architecture", "tinynet"},
          {"num_classes", kClasses},
          {"pretrained_cfg",
           {{"input_size", {3, 4, 4}}, {"mean", {0.5, 0.5, 0.5}}, {"std", {0.5, 0.5, 0.5}}}}};
}

std::vector<TestTensor> Tensors() {
  std::vector<TestTensor> tensors = {{"conv", {2, 3, 1, 1}, {}},
                                     {"bias", {2}, {}},
                                     {"fc", {kClasses, 32}, {}},
                                     {"running_mean", {1}, {0.5f}}};
  std::mt19937 random(5);
  for (TestTensor& tensor : tensors) {
    int64_t count = 1;
    for (const int64_t side : tensor.shape) count *= side;
    while (static_cast<int64_t>(tensor.values.size()) < count) {
      tensor.values.push_back(static_cast<float>(random() >> 8) * 0x1p-23f - 1);
    }
  }
  return tensors;
}

// A module with zeros for its weights: its values come from the safetensors file.
torch::jit::Module Module(const char* forward = kForward) {
  torch::jit::Module module("TinyNet");
  module.register_parameter("conv", torch::zeros({2, 3, 1, 1}), false);
  module.register_parameter("bias", torch::zeros({2}), false);
  module.register_parameter("fc", torch::zeros({kClasses, 32}), false);
  module.register_buffer("running_mean", torch::zeros({1}));
  module.define(forward);
  return module;
}

std::string Write(const torch::jit::Module& module, const Json& config = Config(),
                  const std::vector<TestTensor>& tensors = Tensors()) {
  std::string folder = WriteSnapshot(config.dump(), tensors);
  module.save(folder + "/model.ts");
  return folder;
}

EvaluatorOptions Allowed(const char* format = "fp32") {
  EvaluatorOptions options = Options(format);
  options.allow_torchscript = true;
  return options;
}

std::string ErrorOf(const std::string& folder) {
  const auto snapshot = OpenSnapshot(folder);
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  const absl::Status status = TorchEvaluator::Create(*snapshot, Allowed()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(status.message(), HasSubstr(folder));
  EXPECT_THAT(status.message(), Not(HasSubstr("\n")));
  return std::string(status.message());
}

TEST(TorchScript, ComputesTheModuleWithTheWeightsOfTheFile) {
  auto evaluator = MakeEvaluator(OpenSnapshot(Write(Module())).value(), Allowed());
  const TestImages images(ScriptNetwork(), 6);
  const at::Tensor logits = evaluator->Logits(images.fold).value();
  const std::vector<TestTensor> tensors = Tensors();
  for (size_t i = 0; i < images.pixels.size(); ++i) {
    for (int c = 0; c < kClasses; ++c) {
      double expected = 0;
      for (int place = 0; place < 16; ++place) {
        for (int out = 0; out < 2; ++out) {
          double value = tensors[1].values[out];
          for (int in = 0; in < 3; ++in) {
            value += tensors[0].values[out * 3 + in] *
                     (images.pixels[i][in * 16 + place] / 255.0 - 0.5) / 0.5;
          }
          expected += value * 0.5 * 2 * tensors[2].values[c * 32 + out * 16 + place];
        }
      }
      EXPECT_NEAR(logits[static_cast<int64_t>(i)][c].item<float>(), expected, 1e-4);
    }
  }
}

TEST(TorchScript, SurfaceIsItsWeightsByName) {
  const ModelSnapshot snapshot = OpenSnapshot(Write(Module())).value();
  std::vector<std::string> names;
  for (const SurfaceTensor& tensor : snapshot.surface) {
    names.push_back(tensor.name);
    EXPECT_EQ(tensor.block, "");
    EXPECT_EQ(tensor.part, Part::kNone);
  }
  EXPECT_THAT(names, ElementsAre("conv", "fc"));
}

// A trial patches words in place: the module must see them, and the undo.
TEST(TorchScript, SeesFaultsInItsWeights) {
  const ModelSnapshot snapshot = OpenSnapshot(Write(Module())).value();
  for (const int tensor : {0, 1}) {
    auto evaluator = MakeEvaluator(snapshot, Allowed("int8"));
    const TestImages images(ScriptNetwork(), 6);
    const at::Tensor golden = evaluator->Logits(images.fold).value();
    FaultList faults;
    faults.tensors.push_back({tensor, {{0, 0x80}, {1, 0x80}, {2, 0x80}}});
    const auto outcomes = evaluator->Run(images.fold, {{1, &faults}}, Never);
    ASSERT_TRUE(outcomes.ok()) << outcomes.status();
    EXPECT_EQ(outcomes->at(0).flips, 3);
    EXPECT_EQ(outcomes->at(0).inferences, 6);
    EXPECT_TRUE(evaluator->Logits(images.fold).value().equal(golden));

    // The same faults, written into the file, give the same predictions.
    std::vector<TestTensor> faulty = Tensors();
    const at::Tensor weight = evaluator->weight(snapshot.surface[tensor].name);
    auto fp32 = MakeEvaluator(snapshot, Allowed("int8"));
    const float scale = weight.abs().max().item<float>() / 127;
    {
      const c10::InferenceMode inference_mode;
      const at::Tensor patched = fp32->weight(snapshot.surface[tensor].name).flatten();
      for (int64_t i = 0; i < 3; ++i) {
        const float value = patched[i].item<float>();
        // The sign bit of two's complement.
        patched[i].fill_(value + (value < 0 ? 128 * scale : -128 * scale));
      }
    }
    const at::Tensor expected = fp32->Logits(images.fold).value();
    EXPECT_FALSE(expected.equal(golden));
    int64_t changed = 0;
    for (int64_t i = 0; i < 6; ++i) {
      changed += expected[i].argmax().item<int64_t>() != golden[i].argmax().item<int64_t>();
    }
    EXPECT_EQ(outcomes->at(0).sdc, changed);
  }
}

TEST(TorchScript, GivesTheSameBitsInEveryRun) {
  auto evaluator = MakeEvaluator(OpenSnapshot(Write(Module())).value(), Allowed());
  const TestImages images(ScriptNetwork(), 12);
  const at::Tensor first = evaluator->Logits(images.fold).value();
  for (int run = 0; run < 5; ++run) {
    EXPECT_TRUE(evaluator->Logits(images.fold).value().equal(first));
  }
}

TEST(TorchScript, RunsOnlyIfAllowed) {
  const ModelSnapshot snapshot = OpenSnapshot(Write(Module())).value();
  const absl::Status status = TorchEvaluator::Create(snapshot, Options("fp32")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("--allow-torchscript"));
}

TEST(TorchScript, NamesAndShapesMustMatchBothWays) {
  torch::jit::Module more = Module();
  more.register_parameter("extra", torch::zeros({2, 2}), false);
  EXPECT_THAT(ErrorOf(Write(more)), HasSubstr("'extra' [2, 2] that model.safetensors has not"));

  std::vector<TestTensor> tensors = Tensors();
  tensors.push_back({"head.weight", {1, 2}, {1, 2}});
  EXPECT_THAT(ErrorOf(Write(Module(), Config(), tensors)),
              HasSubstr("'head.weight' [1, 2] that model.ts has not"));

  tensors = Tensors();
  tensors[1] = {"bias", {1, 2}, {1, 2}};
  EXPECT_THAT(ErrorOf(Write(Module(), Config(), tensors)),
              HasSubstr("'bias' is [2] in model.ts and [1, 2] in model.safetensors"));

  torch::jit::Module half = Module();
  half.to(at::kHalf);
  EXPECT_THAT(ErrorOf(Write(half)),
              HasSubstr("is Half, should be Float; save the network in fp32"));
}

TEST(TorchScript, LeavesCountersAsTheyAre) {
  torch::jit::Module module = Module();
  module.register_buffer("num_batches_tracked", torch::zeros({}, at::kFloat));
  std::vector<TestTensor> tensors = Tensors();
  tensors.push_back({"num_batches_tracked", {}, {7}});
  const ModelSnapshot snapshot = OpenSnapshot(Write(module, Config(), tensors)).value();
  EXPECT_EQ(snapshot.surface.size(), 2u);
  EXPECT_TRUE(TorchEvaluator::Create(snapshot, Allowed()).ok());
}

TEST(TorchScript, CodeThatGivesNoLogitsIsRefused) {
  EXPECT_THAT(ErrorOf(Write(Module("def forward(self, x): return x\n"))),
              HasSubstr("should give fp32 logits [1, 5]"));
  EXPECT_THAT(ErrorOf(Write(Module("def forward(self, x): return (x, x)\n"))),
              HasSubstr("should give a tensor of logits"));
  EXPECT_THAT(ErrorOf(Write(Module("def forward(self, x): return torch.mm(x, self.fc)\n"))),
              HasSubstr("model.ts fails on an image [1, 3, 4, 4]"));
  const std::string folder = Write(Module());
  std::ofstream(folder + "/model.ts", std::ios::trunc) << "no archive";
  EXPECT_THAT(ErrorOf(folder), HasSubstr("model.ts cannot be read as TorchScript"));
}

// The proof after every call covers what the code writes.
TEST(TorchScript, CodeThatChangesItsWeightsIsFoundOut) {
  const ModelSnapshot snapshot = OpenSnapshot(Write(Module(R"(
def forward(self, x):
    self.running_mean.add_(1)
    return torch.mm(torch.conv2d(x, self.conv, self.bias).flatten(1), self.fc.t())
)")))
                                     .value();
  auto evaluator = MakeEvaluator(snapshot, Allowed());
  const TestImages images(ScriptNetwork(), 6);
  EXPECT_TRUE(absl::IsDataLoss(evaluator->Golden(images.fold).status()));
}

}  // namespace
}  // namespace bitquake
