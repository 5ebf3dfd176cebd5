// Swin, DeepViT, DeiT's distilled networks and TorchScript, from config.json and shapes alone.
#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "common/model/network_tensors.h"
#include "common/model/snapshot.h"
#include "tests/model/test_snapshot.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

template <typename Network>
std::vector<TensorInfo> Infos(const Network& network) {
  std::vector<TensorInfo> infos;
  for (const TestTensor& tensor : RandomTensors(network, 1)) {
    infos.push_back({tensor.name, tensor.shape});
  }
  return infos;
}

template <typename Network>
absl::StatusOr<Architecture> Derive(const Network& network) {
  return DeriveArchitecture(ConfigJson(network), Infos(network));
}

template <typename Network>
std::string ErrorWith(const Network& network, const std::function<void(Json&)>& change,
                      std::vector<TensorInfo> tensors = {}) {
  Json config = Json::parse(ConfigJson(network));
  change(config);
  const auto architecture =
      DeriveArchitecture(config.dump(), tensors.empty() ? Infos(network) : tensors);
  EXPECT_EQ(architecture.status().code(), absl::StatusCode::kInvalidArgument)
      << architecture.status();
  return std::string(architecture.status().message());
}

void Keep(Json&) {}

int64_t Parameters(const Architecture& architecture) {
  int64_t count = 0;
  for (const auto& [tensor, kind] : NetworkTensors(architecture, {})) {
    count += kind == TensorKind::kParameter ? tensor.words() : 0;
  }
  return count;
}

std::vector<TensorInfo> InfosOf(const Architecture& architecture) {
  std::vector<TensorInfo> infos;
  for (const auto& [tensor, kind] : NetworkTensors(architecture, {})) {
    infos.push_back({tensor.name, tensor.shape});
  }
  return infos;
}

// As the hub has it, without model_args.
std::string HubConfig(const std::string& name, int image, const char* pool) {
  return Json{{"architecture", name},
              {"num_classes", 1000},
              {"num_features", 768},
              {"global_pool", pool},
              {"pretrained_cfg",
               {{"tag", "some_in1k"},
                {"custom_load", false},
                {"input_size", {3, image, image}},
                {"fixed_input_size", true},
                {"interpolation", "bicubic"},
                {"crop_pct", 0.9},
                {"crop_mode", "center"},
                {"mean", {0.485, 0.456, 0.406}},
                {"std", {0.229, 0.224, 0.225}},
                {"num_classes", 1000},
                {"pool_size", nullptr},
                {"first_conv", "patch_embed.proj"},
                {"classifier", "head"}}}}
      .dump();
}

VitShape Vit(int image, int patch, int width, int depth, int heads) {
  VitShape vit;
  vit.image = image;
  vit.patch = patch;
  vit.width = width;
  vit.depth = depth;
  vit.heads = heads;
  vit.mlp_hidden = 4 * width;
  return vit;
}

VitShape Distilled(VitShape vit) {
  vit.distilled = true;
  return vit;
}

SwinShape Swin(int image, int width, std::vector<int> depths, std::vector<int> windows) {
  SwinShape swin;
  swin.image = image;
  swin.patch = 4;
  int side = image / 4;
  for (size_t s = 0; s < depths.size(); ++s, width *= 2, side /= 2) {
    swin.stages.push_back({depths[s], width, width / 32, 4 * width, side, windows[s]});
  }
  return swin;
}

// The published numbers of parameters; what is derived again from those names and shapes is the
// same network.
TEST(Families, HaveTheSizesOfTimmsNetworks) {
  struct Known {
    const char* name;
    decltype(Architecture::network) network;
    int64_t parameters;
  };
  const std::vector<int> sevens(4, 7), twelves(4, 12);
  for (const Known& known :
       {Known{"vit_base_patch16_224", Vit(224, 16, 768, 12, 12), 86'567'656},
        Known{"vit_base_patch16_384", Vit(384, 16, 768, 12, 12), 86'859'496},
        Known{"vit_base_patch32_224", Vit(224, 32, 768, 12, 12), 88'224'232},
        Known{"vit_base_patch32_384", Vit(384, 32, 768, 12, 12), 88'297'192},
        Known{"vit_large_patch16_384", Vit(384, 16, 1024, 24, 16), 304'715'752},
        Known{"vit_large_patch32_384", Vit(384, 32, 1024, 24, 16), 306'632'680},
        Known{"deit_base_distilled_patch16_224", Distilled(Vit(224, 16, 768, 12, 12)), 87'338'192},
        Known{"swin_tiny_patch4_window7_224", Swin(224, 96, {2, 2, 6, 2}, sevens), 28'288'354},
        Known{"swin_small_patch4_window7_224", Swin(224, 96, {2, 2, 18, 2}, sevens), 49'606'258},
        Known{"swin_base_patch4_window7_224", Swin(224, 128, {2, 2, 18, 2}, sevens), 87'768'224},
        Known{"swin_base_patch4_window12_384", Swin(384, 128, {2, 2, 18, 2}, twelves), 87'903'584},
        Known{"swin_s3_tiny_224", Swin(224, 96, {2, 2, 6, 2}, {7, 7, 14, 7}), 28'328'674}}) {
    Architecture made;
    made.num_classes = 1000;
    made.network = known.network;
    const bool swin = made.family() == Family::kSwin;
    const int image =
        swin ? std::get<SwinShape>(made.network).image : std::get<VitShape>(made.network).image;
    const auto derived =
        DeriveArchitecture(HubConfig(known.name, image, swin ? "avg" : "token"), InfosOf(made));
    ASSERT_TRUE(derived.ok()) << known.name << ": " << derived.status();
    EXPECT_EQ(Parameters(*derived), known.parameters) << known.name;
    EXPECT_EQ(derived->family(), made.family());
    EXPECT_EQ(derived->preprocessing.height, image);
    if (swin) {
      const auto& stages = std::get<SwinShape>(derived->network).stages;
      for (size_t s = 0; s < stages.size(); ++s) {
        const SwinStage& expected = std::get<SwinShape>(made.network).stages[s];
        EXPECT_EQ(stages[s].heads, expected.heads) << known.name << " " << s;
        EXPECT_EQ(stages[s].window, expected.window) << known.name << " " << s;
        EXPECT_EQ(stages[s].side, expected.side) << known.name << " " << s;
        EXPECT_EQ(stages[s].depth, expected.depth) << known.name << " " << s;
      }
    } else {
      EXPECT_EQ(std::get<VitShape>(derived->network).heads, std::get<VitShape>(made.network).heads);
    }
  }
}

TEST(Families, DistilledHasTwoPrefixTokens) {
  TestVit vit;
  vit.distilled = true;
  const auto architecture = Derive(vit);
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  EXPECT_TRUE(std::get<VitShape>(architecture->network).distilled);
  EXPECT_EQ(std::get<VitShape>(architecture->network).tokens(), 6);
  EXPECT_THAT(ErrorWith(vit, [](Json& c) { c["architecture"] = "deit_test"; }),
              HasSubstr("has no distillation token, but the weights have a 'dist_token'"));
  EXPECT_THAT(ErrorWith(TestVit(), [](Json& c) { c["architecture"] = "deit_test_distilled"; }),
              HasSubstr("the weights have no 'dist_token'"));
}

TEST(Families, SwinIsReadFromItsTensors) {
  const auto architecture = Derive(TestSwin());
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  const SwinShape& swin = std::get<SwinShape>(architecture->network);
  EXPECT_EQ(swin.image, 16);
  EXPECT_EQ(swin.patch, 2);
  EXPECT_TRUE(swin.qkv_bias);
  EXPECT_EQ(swin.norm_eps, 1e-5);
  ASSERT_EQ(swin.stages.size(), 2u);
  EXPECT_EQ(swin.stages[0].side, 8);
  EXPECT_EQ(swin.stages[0].shift(), 2);
  EXPECT_EQ(swin.stages[1].width, 16);
  EXPECT_EQ(swin.stages[1].heads, 4);
  EXPECT_EQ(swin.stages[1].side, 4);
  EXPECT_EQ(swin.stages[1].shift(), 0);  // the window covers it
}

TEST(Families, SwinsImageSizeComesFromTheConfigOrElseTheName) {
  Json config = Json::parse(ConfigJson(TestSwin()));
  config["model_args"].erase("img_size");
  EXPECT_TRUE(DeriveArchitecture(config.dump(), Infos(TestSwin())).ok());
  config["pretrained_cfg"].erase("input_size");
  EXPECT_THAT(DeriveArchitecture(config.dump(), Infos(TestSwin())).status().message(),
              HasSubstr("image size of 'swin_test' is not known"));
  config["architecture"] = "swin_test_window4_16";
  const auto named = DeriveArchitecture(config.dump(), Infos(TestSwin()));
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(std::get<SwinShape>(named->network).image, 16);
  EXPECT_THAT(ErrorWith(TestSwin(), [](Json& c) { c["model_args"]["img_size"] = 32; }),
              HasSubstr("should be [3, 32, 32], as img_size says"));
}

TEST(Families, SwinsBuffersMayBeThere) {
  std::vector<TensorInfo> tensors = Infos(TestSwin());
  tensors.push_back({"layers.0.blocks.0.attn.relative_position_index", {16, 16}});
  tensors.push_back({"layers.0.blocks.1.attn_mask", {4, 16, 16}});
  const auto architecture = DeriveArchitecture(ConfigJson(TestSwin()), tensors);
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  tensors.push_back({"layers.1.blocks.1.attn_mask", {1, 16, 16}});  // of a stage without shift
  EXPECT_FALSE(DeriveArchitecture(ConfigJson(TestSwin()), tensors).ok());
}

TEST(Families, SwinRefusesWhatItDoesNotCompute) {
  const auto argument = [](const char* name, Json value) {
    return ErrorWith(TestSwin(), [&](Json& c) { c["model_args"][name] = value; });
  };
  EXPECT_THAT(argument("window_size", 2), HasSubstr("window_size is [2, 2], but the weights"));
  EXPECT_THAT(argument("depths", {2, 3}), HasSubstr("depths is [2, 3]"));
  EXPECT_THAT(argument("num_heads", {2, 2}), HasSubstr("num_heads is [2, 2]"));
  EXPECT_THAT(argument("embed_dim", 16), HasSubstr("embed_dim is 16"));
  EXPECT_THAT(argument("patch_size", 4), HasSubstr("patch_size is 4"));
  EXPECT_THAT(argument("mlp_ratio", 3), HasSubstr("mlp_ratio"));
  EXPECT_THAT(argument("ape", true), HasSubstr("model_args.ape: true is not supported"));
  EXPECT_THAT(argument("patch_norm", false), HasSubstr("patch_norm"));
  EXPECT_THAT(argument("always_partition", true), HasSubstr("always_partition"));
  EXPECT_THAT(argument("pretrained_window_sizes", 8), HasSubstr("may change the network"));
  EXPECT_THAT(ErrorWith(TestSwin(), [](Json& c) { c["global_pool"] = "token"; }),
              HasSubstr("global_pool"));
  EXPECT_THAT(ErrorWith(TestSwin(),
                        [](Json& c) {
                          c["model_args"]["img_size"] = 20;
                          c["pretrained_cfg"]["input_size"] = {3, 20, 20};
                        }),
              HasSubstr("windows of 4 tokens do not divide its side of 10"));
  TestSwin odd;
  odd.image = 18;
  odd.window = 3;
  EXPECT_THAT(ErrorWith(odd, Keep), HasSubstr("18 pixels is no multiple of 4"));
}

TEST(Families, SwinRefusesTimmsOldLayout) {
  std::vector<TensorInfo> tensors = Infos(TestSwin());
  for (TensorInfo& tensor : tensors) {
    if (tensor.name == "layers.1.downsample.reduction.weight") {
      tensor.name = "layers.0.downsample.reduction.weight";
    }
  }
  EXPECT_THAT(ErrorWith(TestSwin(), Keep, tensors),
              HasSubstr("'layers.0.downsample.reduction.weight' is of timm's layout before"));
}

TEST(Families, DeepVitIsReadFromItsTensors) {
  const auto architecture = Derive(TestDeepVit());
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  const DeepVitShape& deepvit = std::get<DeepVitShape>(architecture->network);
  EXPECT_EQ(deepvit.vit.heads, 4);
  EXPECT_FALSE(deepvit.vit.qkv_bias);
  EXPECT_EQ(deepvit.vit.norm_eps, 1e-6);
  Json config = Json::parse(ConfigJson(TestDeepVit()));
  config.erase("model_args");
  EXPECT_TRUE(DeriveArchitecture(config.dump(), Infos(TestDeepVit())).ok());
  std::vector<TensorInfo> tensors = Infos(TestDeepVit());
  tensors.push_back({"blocks.0.attn.var_norm.num_batches_tracked", {}});
  EXPECT_TRUE(DeriveArchitecture(config.dump(), tensors).ok());
}

TEST(Families, DeepVitRefusesWhatItDoesNotCompute) {
  const auto argument = [](const char* name, Json value) {
    return ErrorWith(TestDeepVit(), [&](Json& c) { c["model_args"][name] = value; });
  };
  EXPECT_THAT(argument("num_heads", 2), HasSubstr("num_heads is 2, but the weights have 4"));
  EXPECT_THAT(argument("num_heads", {2, 4}), HasSubstr("one number for all blocks"));
  EXPECT_THAT(argument("transform_scale", true), HasSubstr("transform_scale"));
  EXPECT_THAT(argument("qk_scale", 0.5), HasSubstr("qk_scale"));
  EXPECT_THAT(argument("pre_norm", true), HasSubstr("pre_norm"));
  std::vector<TensorInfo> tensors = Infos(TestDeepVit());
  for (TensorInfo& tensor : tensors) {
    if (tensor.name == "blocks.1.attn.reatten_matrix.weight") {
      tensor.name = "blocks.1.attn.other";  // a block of plain attention
    }
  }
  EXPECT_THAT(ErrorWith(TestDeepVit(), Keep, tensors),
              HasSubstr("missing: 'blocks.1.attn.reatten_matrix.weight'"));
}

template <typename Network>
void ExpectEveryTensorIsNeeded(const Network& network, const std::vector<std::string>& optional) {
  const std::vector<TensorInfo> all = Infos(network);
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<TensorInfo> tensors = all;
    tensors.erase(tensors.begin() + static_cast<int>(i));
    const bool may_lack = std::count(optional.begin(), optional.end(), all[i].name) > 0;
    EXPECT_EQ(DeriveArchitecture(ConfigJson(network), tensors).ok(), may_lack) << all[i].name;
  }
}

TEST(Families, EveryTensorIsNeeded) {
  TestVit distilled;
  distilled.distilled = true;
  ExpectEveryTensorIsNeeded(distilled, {"patch_embed.proj.bias"});
  ExpectEveryTensorIsNeeded(TestSwin(), {});
  ExpectEveryTensorIsNeeded(TestDeepVit(), {"patch_embed.proj.bias"});
}

template <typename Network>
void ExpectToSurviveHostileShapes(const Network& network) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{},
                                            {0},
                                            {-1, -1, -1, -1},
                                            {0, 0},
                                            {1, 1},
                                            {INT64_MAX, INT64_MAX},
                                            {1 << 20, 1 << 20, 1 << 20, 1 << 20}}) {
    for (const TensorInfo& victim : Infos(network)) {
      std::vector<TensorInfo> tensors = Infos(network);
      for (TensorInfo& tensor : tensors) {
        if (tensor.name == victim.name) {
          tensor.shape = shape;
        }
      }
      EXPECT_FALSE(DeriveArchitecture(ConfigJson(network), tensors).ok()) << victim.name;
    }
  }
}

TEST(Families, SurviveHostileShapes) {
  ExpectToSurviveHostileShapes(TestSwin());
  ExpectToSurviveHostileShapes(TestDeepVit());
}

Json ScriptConfig() {
  return {{"architecture", "resnet50"},
          {"num_classes", 3},
          {"global_pool", "avg"},
          {"model_args", {{"layers", {3, 4, 6, 3}}}},
          {"pretrained_cfg",
           {{"input_size", {3, 8, 12}}, {"mean", {0.5, 0.4, 0.3}}, {"std", {0.5, 0.25, 0.2}}}}};
}

TEST(Families, TorchScriptMustStateWhatNoTensorTells) {
  const std::vector<TensorInfo> tensors = {{"fc.weight", {3, 4}}};
  const auto architecture = DeriveArchitecture(ScriptConfig().dump(), tensors);
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  EXPECT_EQ(architecture->family(), Family::kTorchScript);
  EXPECT_EQ(architecture->num_classes, 3);
  EXPECT_EQ(architecture->preprocessing.height, 8);
  EXPECT_EQ(architecture->preprocessing.width, 12);
  for (const auto& [object, field] : {std::pair("", "num_classes"),
                                      {"pretrained_cfg", "input_size"},
                                      {"pretrained_cfg", "mean"}}) {
    Json config = ScriptConfig();
    (*object == '\0' ? config : config[object]).erase(field);
    EXPECT_THAT(DeriveArchitecture(config.dump(), tensors).status().message(), HasSubstr(field));
  }
}

TEST(Snapshot, OtherNetworksNeedWeightsAndCode) {
  const std::string folder =
      WriteSnapshot(ScriptConfig().dump(), {{"fc.weight", {3, 1}, {1, 2, 3}}});
  const absl::Status no_code = OpenSnapshot(folder).status();
  EXPECT_EQ(no_code.code(), absl::StatusCode::kNotFound);
  for (const char* part :
       {"\"resnet50\" is not supported", "supported are", "needs both", "model.ts is not there"}) {
    EXPECT_THAT(no_code.message(), HasSubstr(part));
  }
  std::ofstream(folder + "/model.ts") << "code";
  const auto snapshot = OpenSnapshot(folder);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->script_path, folder + "/model.ts");
  EXPECT_TRUE(CheckCodeAllowed(*snapshot, true).ok());
  EXPECT_THAT(CheckCodeAllowed(*snapshot, false).message(), HasSubstr("--allow-torchscript"));

  ASSERT_EQ(std::remove((folder + "/model.safetensors").c_str()), 0);
  EXPECT_THAT(OpenSnapshot(folder).status().message(), HasSubstr("model.safetensors is not there"));
}

TEST(Snapshot, DigestAndStampCoverCodeThatIsUsed) {
  const std::string script = WriteSnapshot(ScriptConfig().dump(), {{"fc.weight", {1}, {1}}});
  std::ofstream(script + "/model.ts") << "code";
  const std::string digest = SnapshotDigest(script).value();
  const std::string stamp = SnapshotStamp(script).value();
  std::ofstream(script + "/model.ts") << "other code";
  EXPECT_NE(SnapshotDigest(script).value(), digest);
  EXPECT_NE(SnapshotStamp(script).value(), stamp);

  // A network of ours is computed by us.
  const std::string native = WriteSnapshot(ConfigJson(TestVit()), RandomTensors(TestVit(), 1));
  const std::string native_digest = SnapshotDigest(native).value();
  const std::string native_stamp = SnapshotStamp(native).value();
  std::ofstream(native + "/model.ts") << "code";
  EXPECT_EQ(SnapshotDigest(native).value(), native_digest);
  EXPECT_EQ(SnapshotStamp(native).value(), native_stamp);
  EXPECT_EQ(OpenSnapshot(native)->script_path, "");
  EXPECT_TRUE(CheckCodeAllowed(*OpenSnapshot(native), false).ok());
}

}  // namespace
}  // namespace bitquake
