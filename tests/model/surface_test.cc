#include "common/model/surface.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "common/model/network_tensors.h"
#include "tests/model/test_snapshot.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Model {
  Architecture architecture;
  std::vector<TensorInfo> tensors;

  absl::StatusOr<Surface> With(const SurfaceSelection& selection) const {
    return MakeSurface(architecture, tensors, selection);
  }
};

template <typename Network>
Model Make(const Network& network) {
  Model model;
  for (const TestTensor& tensor : RandomTensors(network, 1)) {
    model.tensors.push_back({tensor.name, tensor.shape});
  }
  model.architecture = DeriveArchitecture(ConfigJson(network), model.tensors).value();
  return model;
}

TestVit SmallVit() {
  TestVit vit;
  vit.depth = 1;
  return vit;
}

TestVit DistilledVit() {
  TestVit vit;
  vit.distilled = true;
  return vit;
}

std::vector<std::string> Names(const Surface& surface) {
  std::vector<std::string> names;
  for (const SurfaceTensor& tensor : surface) {
    names.push_back(tensor.name);
  }
  return names;
}

const SurfaceTensor& Find(const Surface& surface, const std::string& name) {
  return *std::find_if(surface.begin(), surface.end(),
                       [&](const SurfaceTensor& tensor) { return tensor.name == name; });
}

TEST(Surface, HoldsThePapersTensorsInForwardOrder) {
  const Surface surface = Make(SmallVit()).With({}).value();
  EXPECT_THAT(Names(surface),
              ElementsAre("cls_token", "pos_embed", "patch_embed.proj.weight",
                          "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight",
                          "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight", "head.weight"));
  EXPECT_EQ(surface[2].words(), 16 * 3 * 4 * 4);
  ASSERT_TRUE(surface[3].qkv.has_value());
  EXPECT_EQ(surface[3].qkv->heads, 2);
  EXPECT_EQ(surface[3].qkv->head_dim, 8);
  EXPECT_FALSE(surface[4].qkv.has_value());
}

TEST(Surface, OfDistilledHasBothTokensAndHeads) {
  const std::vector<std::string> names = Names(Make(DistilledVit()).With({}).value());
  EXPECT_EQ(names[1], "dist_token");
  EXPECT_EQ(names.back(), "head_dist.weight");
}

TEST(Surface, OfSwinHasTablesOfPositionsAndDownsampling) {
  TestSwin swin;
  swin.depths = {1, 1};
  const Surface surface = Make(swin).With({}).value();
  EXPECT_THAT(
      Names(surface),
      ElementsAre("patch_embed.proj.weight", "layers.0.blocks.0.attn.qkv.weight",
                  "layers.0.blocks.0.attn.relative_position_bias_table",
                  "layers.0.blocks.0.attn.proj.weight", "layers.0.blocks.0.mlp.fc1.weight",
                  "layers.0.blocks.0.mlp.fc2.weight", "layers.1.downsample.reduction.weight",
                  "layers.1.blocks.0.attn.qkv.weight",
                  "layers.1.blocks.0.attn.relative_position_bias_table",
                  "layers.1.blocks.0.attn.proj.weight", "layers.1.blocks.0.mlp.fc1.weight",
                  "layers.1.blocks.0.mlp.fc2.weight", "head.fc.weight"));
  EXPECT_EQ(surface[1].block, "layers.0.blocks.0");
  EXPECT_EQ(surface[2].part, Part::kAttention);
  EXPECT_EQ(surface[6].block, "");
  EXPECT_EQ(surface[6].part, Part::kEmbed);
  EXPECT_EQ(surface[7].qkv->heads, 4);
  EXPECT_EQ(surface[7].qkv->head_dim, 4);
  EXPECT_EQ(surface[12].part, Part::kHead);
}

TEST(Surface, IncludeAddsParametersInForwardOrder) {
  const Surface surface =
      Make(SmallVit()).With({{"norm1", "^head\\.bias$", "attn.qkv.bias"}, {}}).value();
  EXPECT_THAT(Names(surface), ElementsAre("cls_token", "pos_embed", "patch_embed.proj.weight",
                                          "blocks.0.norm1.weight", "blocks.0.norm1.bias",
                                          "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias",
                                          "blocks.0.attn.proj.weight", "blocks.0.mlp.fc1.weight",
                                          "blocks.0.mlp.fc2.weight", "head.weight", "head.bias"));
  const SurfaceTensor& bias = Find(surface, "blocks.0.attn.qkv.bias");
  ASSERT_TRUE(bias.qkv.has_value());
  EXPECT_EQ(bias.qkv->head_dim, 8);
  EXPECT_EQ(bias.words_per_row(), 1);
  EXPECT_EQ(Find(surface, "blocks.0.norm1.bias").part, Part::kAttention);
  EXPECT_EQ(Find(surface, "blocks.0.norm1.bias").block, "blocks.0");
}

TEST(Surface, ExcludeWinsOverInclude) {
  const Surface surface = Make(SmallVit()).With({{"bias"}, {"^blocks", "_embed"}}).value();
  EXPECT_THAT(Names(surface), ElementsAre("cls_token", "norm.bias", "head.weight", "head.bias"));
}

TEST(Surface, PatternsThatMatchNothingAreAnError) {
  const Model model = Make(SmallVit());
  for (const SurfaceSelection& selection :
       {SurfaceSelection{{"blocks.0.norm1.wieght"}, {}}, {{}, {"norms1"}}, {{"^attn.qkv$"}, {}}}) {
    const absl::Status status = model.With(selection).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(status.message(), HasSubstr("matches no parameter; did you mean")) << status;
  }
  EXPECT_THAT(model.With({{"blocks.0.norm1.wieght"}, {}}).status().message(),
              HasSubstr("include: 'blocks.0.norm1.wieght' matches no parameter; did you mean "
                        "'blocks.0.norm1.weight'"));
  EXPECT_THAT(model.With({{}, {"norms1"}}).status().message(), HasSubstr("did you mean 'norm1'"));
}

TEST(Surface, PatternsAreRegularExpressionsOfLimitedSize) {
  const Model model = Make(SmallVit());
  for (const std::string& pattern :
       {std::string("("), std::string("[a"), std::string(), std::string(1001, 'a'),
        std::string("((a{1,100}){1,100}){1,100}"), std::string("(?=a)")}) {
    EXPECT_EQ(model.With({{pattern}, {}}).status().code(), absl::StatusCode::kInvalidArgument)
        << pattern;
  }
  EXPECT_THAT(model.With({{}, {"("}}).status().message(),
              HasSubstr("exclude: '(' is no regular expression: missing )"));
}

TEST(Surface, SomethingMustBeLeft) {
  const absl::Status status = Make(SmallVit()).With({{}, {"."}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("nothing is left"));
}

TEST(Surface, HoldsNoBuffers) {
  const Model deepvit = Make(TestDeepVit());
  const Surface all = deepvit.With({{"."}, {}}).value();
  EXPECT_EQ(all.size() + 2u * 3u, deepvit.tensors.size());  // less mean and variance of each block
  EXPECT_FALSE(deepvit.With({{"running_mean"}, {}}).ok());
}

// Blocks, and what of the embedding and the head is in none, are the model, each tensor once.
template <typename Network>
void ExpectPartition(const Network& network) {
  const Model model = Make(network);
  const Surface all = model.With({{"."}, {}}).value();
  size_t parameters = 0;
  for (const auto& [tensor, kind] : NetworkTensors(model.architecture, model.tensors)) {
    parameters += kind == TensorKind::kParameter ? 1 : 0;
  }
  EXPECT_EQ(all.size(), parameters);
  for (const SurfaceTensor& tensor : all) {
    const bool in_block = absl::StrContains(tensor.name, "blocks.");
    EXPECT_EQ(tensor.block.empty(), !in_block) << tensor.name;
    EXPECT_EQ(tensor.part == Part::kAttention || tensor.part == Part::kMlp, in_block)
        << tensor.name;
    EXPECT_TRUE(tensor.part != Part::kNone) << tensor.name;
    if (in_block) {
      EXPECT_TRUE(absl::StartsWith(tensor.name, tensor.block + ".")) << tensor.name;
      const bool attention =
          absl::StrContains(tensor.name, "attn.") || absl::StrContains(tensor.name, "norm1");
      EXPECT_EQ(tensor.part == Part::kAttention, attention) << tensor.name;
    } else {
      const bool head =
          absl::StartsWith(tensor.name, "head") || absl::StartsWith(tensor.name, "norm.");
      EXPECT_EQ(tensor.part == Part::kHead, head) << tensor.name;
    }
  }
}

TEST(Surface, BlocksEmbeddingAndHeadPartitionTheModel) {
  TestVit clip;
  clip.pre_norm = true;
  ExpectPartition(TestVit());
  ExpectPartition(clip);
  ExpectPartition(DistilledVit());
  ExpectPartition(TestSwin());
  ExpectPartition(TestDeepVit());
}

TEST(Surface, OfTorchScriptHasTheOrderOfTheFile) {
  Model model;
  model.architecture.network = ScriptShape{};
  model.tensors = {{"fc.weight", {3, 4}},
                   {"bn.running_mean", {1, 4}},
                   {"conv.weight", {4, 3, 1, 1}},
                   {"bn.weight", {4}},
                   {"scale", {}},
                   {"nothing", {0, 4}},
                   {"attn.relative_position_index", {4, 4}}};
  const Surface surface = model.With({}).value();
  EXPECT_THAT(Names(surface), ElementsAre("fc.weight", "conv.weight"));
  EXPECT_EQ(surface[0].part, Part::kNone);
  EXPECT_EQ(surface[0].block, "");
  const Surface more = model.With({{"bn", "scale"}, {"fc"}}).value();
  EXPECT_THAT(Names(more), ElementsAre("conv.weight", "bn.weight", "scale"));
  EXPECT_EQ(more[2].words(), 1);
  EXPECT_EQ(more[2].words_per_row(), 1);
}

}  // namespace
}  // namespace bitquake
