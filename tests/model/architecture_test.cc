#include "common/model/architecture.h"

#include <gmock/gmock.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/model/config.h"
#include "common/model/snapshot.h"
#include "common/model/surface.h"
#include "common/model/vit_tensors.h"
#include "tests/model/test_snapshot.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

std::vector<TensorInfo> Infos(const TestVit& vit) {
  std::vector<TensorInfo> infos;
  for (const TestTensor& tensor : RandomTensors(vit, 1)) {
    infos.push_back({tensor.name, tensor.shape});
  }
  return infos;
}

const VitShape& VitOf(const Architecture& architecture) {
  return std::get<VitShape>(architecture.network);
}

std::vector<TensorInfo> Infos(const std::vector<NetworkTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const auto& [tensor, kind] : tensors) {
    infos.push_back({tensor.name, tensor.shape});
  }
  return infos;
}

std::string ErrorWith(const std::function<void(Json&)>& change, const TestVit& vit = {}) {
  Json config = Json::parse(ConfigJson(vit));
  change(config);
  const auto architecture = DeriveArchitecture(config.dump(), Infos(vit));
  EXPECT_EQ(architecture.status().code(), absl::StatusCode::kInvalidArgument)
      << architecture.status();
  return std::string(architecture.status().message());
}

TEST(Architecture, ReadsConfigAndTensors) {
  const auto architecture = DeriveArchitecture(ConfigJson(TestVit()), Infos(TestVit()));
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  EXPECT_EQ(architecture->num_classes, 7);
  EXPECT_EQ(VitOf(*architecture).image, 8);
  EXPECT_EQ(VitOf(*architecture).patch, 4);
  EXPECT_EQ(VitOf(*architecture).width, 16);
  EXPECT_EQ(VitOf(*architecture).depth, 3);
  EXPECT_EQ(VitOf(*architecture).heads, 2);
  EXPECT_EQ(VitOf(*architecture).mlp_hidden, 32);
  EXPECT_TRUE(VitOf(*architecture).qkv_bias);
  EXPECT_TRUE(VitOf(*architecture).patch_bias);
  EXPECT_FALSE(VitOf(*architecture).pre_norm);
  EXPECT_EQ(VitOf(*architecture).norm_eps, 1e-6);
  EXPECT_EQ(architecture->preprocessing.crop_pct, 1.0);
  EXPECT_EQ(architecture->preprocessing.height, 8);
  EXPECT_THAT(architecture->preprocessing.mean, ElementsAre(0.5, 0.4, 0.3));
  EXPECT_THAT(architecture->preprocessing.std, ElementsAre(0.5, 0.25, 0.2));
}

TEST(Architecture, ClipTowersHaveTheirOwnNormAndEpsilon) {
  TestVit clip;
  clip.pre_norm = true;
  const auto architecture = DeriveArchitecture(ConfigJson(clip), Infos(clip));
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  EXPECT_TRUE(VitOf(*architecture).pre_norm);
  EXPECT_FALSE(VitOf(*architecture).patch_bias);
  EXPECT_EQ(VitOf(*architecture).norm_eps, 1e-5);
}

TEST(Architecture, EpsilonOfTheConfigPrevails) {
  Json config = Json::parse(ConfigJson(TestVit()));
  config["norm_eps"] = 1e-3;
  EXPECT_EQ(VitOf(*DeriveArchitecture(config.dump(), Infos(TestVit()))).norm_eps, 1e-3);
}

// As on the hub: sizes come from the tensors, heads from the name.
TEST(Architecture, DerivesTimmsOwnSnapshotsWithoutModelArgs) {
  struct Known {
    const char* name;
    int image, patch, width, depth, heads, hidden;
    bool clip;
  };
  for (const Known& known :
       {Known{"vit_tiny_patch16_224", 224, 16, 192, 12, 3, 768, false},
        Known{"deit_small_patch16_224", 224, 16, 384, 12, 6, 1536, false},
        Known{"vit_base_patch32_384", 384, 32, 768, 12, 12, 3072, false},
        Known{"vit_large_patch16_384", 384, 16, 1024, 24, 16, 4096, false},
        Known{"vit_huge_patch14_clip_224", 224, 14, 1280, 32, 16, 5120, true}}) {
    VitShape shape;
    shape.image = known.image;
    shape.patch = known.patch;
    shape.width = known.width;
    shape.depth = known.depth;
    shape.heads = known.heads;
    shape.mlp_hidden = known.hidden;
    shape.pre_norm = known.clip;
    shape.patch_bias = !known.clip;
    const Json config = {{"architecture", known.name},
                         {"num_classes", 1000},
                         {"pretrained_cfg",
                          {{"input_size", {3, known.image, known.image}},
                           {"crop_pct", 0.9},
                           {"crop_mode", "center"},
                           {"interpolation", "bicubic"},
                           {"mean", {0.5, 0.5, 0.5}},
                           {"std", {0.5, 0.5, 0.5}}}}};
    const auto architecture = DeriveArchitecture(config.dump(), Infos(VitTensors(shape, 1000)));
    ASSERT_TRUE(architecture.ok()) << known.name << ": " << architecture.status();
    EXPECT_EQ(VitOf(*architecture).heads, known.heads);
    EXPECT_EQ(VitOf(*architecture).depth, known.depth);
    EXPECT_EQ(VitOf(*architecture).image, known.image);
    EXPECT_EQ(VitOf(*architecture).norm_eps, known.clip ? 1e-5 : 1e-6);
    EXPECT_EQ(architecture->preprocessing.crop_pct, 0.9);
  }
}

TEST(Architecture, HeadsAreNotGuessed) {
  EXPECT_THAT(ErrorWith([](Json& c) { c["model_args"].erase("num_heads"); }),
              HasSubstr("state model_args.num_heads"));
  EXPECT_THAT(ErrorWith([](Json& c) {
                c["model_args"].erase("num_heads");
                c["architecture"] = "vit_base_plus_patch4_8";
              }),
              HasSubstr("state model_args.num_heads"));
  EXPECT_THAT(ErrorWith([](Json& c) { c["model_args"]["num_heads"] = 3; }),
              HasSubstr("does not divide the width 16"));
}

TEST(Architecture, ReadsFlatConfigs) {
  Json config = Json::parse(ConfigJson(TestVit()));
  config.update(config["pretrained_cfg"]);
  config.erase("pretrained_cfg");
  const auto architecture = DeriveArchitecture(config.dump(), Infos(TestVit()));
  ASSERT_TRUE(architecture.ok()) << architecture.status();
  EXPECT_THAT(architecture->preprocessing.mean, ElementsAre(0.5, 0.4, 0.3));
  for (const char* field : {"input_size", "mean", "std", "crop_pct", "interpolation"}) {
    config.erase(field);
  }
  EXPECT_EQ(DeriveArchitecture(config.dump(), Infos(TestVit()))->preprocessing.width, 8);
}

TEST(Architecture, TakesOtherNetworksForTorchScriptAndSaysWhy) {
  Json config = Json::parse(ConfigJson(TestVit()));
  for (const char* name : {"swinv2_tiny_window8_256", "deit3_base_patch16_224", "resnet50", "vit",
                           "vit_base_patch16_clip_quickgelu_224", "vit_small_patch16_rope_224",
                           "vit_base_patch16_siglip_224", "vit_small_patch14_dinov2"}) {
    config["architecture"] = name;
    const auto architecture = DeriveArchitecture(config.dump(), Infos(TestVit()));
    ASSERT_TRUE(architecture.ok()) << architecture.status();
    ASSERT_EQ(architecture->family(), Family::kTorchScript) << name;
    const std::string& why = std::get<ScriptShape>(architecture->network).why;
    EXPECT_THAT(why, HasSubstr(name));
    EXPECT_THAT(why, HasSubstr("supported are"));
  }
  EXPECT_THAT(ErrorWith([](Json& c) { c.erase("architecture"); }), HasSubstr("architecture"));
}

TEST(Architecture, RefusesArgumentsThatChangeTheNetwork) {
  const std::vector<std::pair<std::string, Json>> arguments = {
      {"init_values", 1e-5},  {"qk_norm", true},         {"reg_tokens", 4},
      {"global_pool", "avg"}, {"class_token", false},    {"no_embed_class", true},
      {"act_layer", "silu"},  {"fc_norm", true},         {"distilled", true},
      {"in_chans", 1},        {"norm_layer", "rms"},     {"proj_bias", false},
      {"window_size", 7},     {"patch_size", {4, 2}},    {"mlp_ratio", "four"},
      {"qkv_bias", 1},        {"dynamic_img_size", true}};
  for (const auto& [name, value] : arguments) {
    EXPECT_THAT(ErrorWith([&, n = name, v = value](Json& c) { c["model_args"][n] = v; }),
                HasSubstr(name))
        << value;
  }
  EXPECT_THAT(ErrorWith([](Json& c) { c["model_args"]["embed_dims"] = 16; }),
              HasSubstr("did you mean 'embed_dim'"));
  EXPECT_THAT(ErrorWith([](Json& c) { c["global_pool"] = "avg"; }), HasSubstr("global_pool"));
}

TEST(Architecture, AcceptsArgumentsThatLeaveTheNetworkAsItIs) {
  Json config = Json::parse(ConfigJson(TestVit()));
  config["model_args"].update(Json{{"init_values", nullptr},
                                   {"qk_norm", false},
                                   {"reg_tokens", 0},
                                   {"global_pool", "token"},
                                   {"class_token", true},
                                   {"act_layer", nullptr},
                                   {"drop_path_rate", 0.1},
                                   {"img_size", {8, 8}},
                                   {"weight_init", "skip"}});
  const auto architecture = DeriveArchitecture(config.dump(), Infos(TestVit()));
  EXPECT_TRUE(architecture.ok()) << architecture.status();
}

TEST(Architecture, RefusesSizesThatTheWeightsDoNotHave) {
  const auto with = [](const char* name, Json value) {
    return ErrorWith([&](Json& c) { c["model_args"][name] = value; });
  };
  EXPECT_THAT(with("embed_dim", 32), HasSubstr("embed_dim is 32, but the weights have 16"));
  EXPECT_THAT(with("depth", 2), HasSubstr("depth is 2, but the weights have 3"));
  EXPECT_THAT(with("patch_size", 2), HasSubstr("patch_size"));
  EXPECT_THAT(with("img_size", 16), HasSubstr("img_size"));
  EXPECT_THAT(with("mlp_ratio", 4), HasSubstr("mlp_ratio"));
  EXPECT_THAT(ErrorWith([](Json& c) { c["num_classes"] = 10; }), HasSubstr("num_classes is 10"));
  EXPECT_THAT(ErrorWith([](Json& c) {
                c["pretrained_cfg"]["input_size"] = {3, 8, 16};
              }),
              HasSubstr("input_size is [3, 8, 16]"));
}

TEST(Architecture, RefusesPreprocessingThatItDoesNotKnow) {
  const auto with = [](const char* name, Json value) {
    return ErrorWith([&](Json& c) { c["pretrained_cfg"][name] = value; });
  };
  EXPECT_THAT(with("interpolation", "nearest"), HasSubstr("\"nearest\" is not supported"));
  EXPECT_THAT(with("crop_mode", "border"), HasSubstr("\"border\" is not supported"));
  EXPECT_THAT(with("crop_pct", 0), HasSubstr("crop_pct"));
  EXPECT_THAT(with("crop_pct", 1.2), HasSubstr("crop_pct"));
  EXPECT_THAT(with("mean", {0.5}), HasSubstr("mean"));
  EXPECT_THAT(with("std", {0.5, 0.0, 0.5}), HasSubstr("std"));
  EXPECT_THAT(with("input_size", {3, 8}), HasSubstr("input_size"));
}

TEST(Architecture, RefusesMissingUnexpectedAndMisshapenTensors) {
  std::vector<TensorInfo> tensors = Infos(TestVit());
  for (TensorInfo& tensor : tensors) {
    if (tensor.name == "blocks.1.norm1.bias") {
      tensor.name = "blocks.1.ls1.gamma";
    }
    if (tensor.name == "blocks.2.mlp.fc2.weight") {
      tensor.shape = {32, 16};
    }
  }
  const std::string error(DeriveArchitecture(ConfigJson(TestVit()), tensors).status().message());
  EXPECT_THAT(error, HasSubstr("missing: 'blocks.1.norm1.bias' [16]"));
  EXPECT_THAT(error, HasSubstr("unexpected: 'blocks.1.ls1.gamma' [16]"));
  EXPECT_THAT(error, HasSubstr("'blocks.2.mlp.fc2.weight' is [32, 16], should be [16, 32]"));
}

TEST(Architecture, EveryTensorIsNeeded) {
  const std::vector<TensorInfo> all = Infos(TestVit());
  ASSERT_TRUE(DeriveArchitecture(ConfigJson(TestVit()), all).ok());
  for (size_t i = 0; i < all.size(); ++i) {
    // Without its bias, qkv is another network that is supported; in all blocks alike.
    std::vector<TensorInfo> tensors = all;
    tensors.erase(tensors.begin() + static_cast<int>(i));
    const bool optional = all[i].name == "patch_embed.proj.bias";
    EXPECT_EQ(DeriveArchitecture(ConfigJson(TestVit()), tensors).ok(), optional) << all[i].name;
  }
}

TEST(Architecture, SurvivesHostileShapes) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{},
                                            {0},
                                            {-1, -1, -1, -1},
                                            {1, 0, 0, 0},
                                            {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
                                            {1, INT64_MAX, INT64_MAX},
                                            {1, 1, 1}}) {
    for (const TensorInfo& victim : Infos(TestVit())) {
      std::vector<TensorInfo> tensors = Infos(TestVit());
      for (TensorInfo& tensor : tensors) {
        if (tensor.name == victim.name && tensor.shape != shape) {
          tensor.shape = shape;
        }
      }
      EXPECT_FALSE(DeriveArchitecture(ConfigJson(TestVit()), tensors).ok()) << victim.name;
    }
  }
  EXPECT_FALSE(DeriveArchitecture("", {}).ok());
  EXPECT_FALSE(DeriveArchitecture("{\"architecture\":\"vit_base\"}", {}).ok());
  EXPECT_FALSE(DeriveArchitecture("{\"architecture\":3}", {}).ok());
}

TEST(Architecture, RefusesAConfigThatNestsForEver) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  for (const std::string field : {"num_classes", "global_pool", "model_args", "architecture"}) {
    const std::string config =
        absl::StrCat(R"({"architecture": "vit_x", ")", field, "\": ", deep, "}");
    EXPECT_THAT(DeriveArchitecture(config, {}).status().message(), HasSubstr("nested too deeply"));
    EXPECT_EQ(WhyTorchScript(config), "");
  }
}

// Of a network of our families they do not fit the sizes; of TorchScript nothing else would see it.
TEST(Architecture, RefusesMoreElementsThanAnyCheckpointHas) {
  const std::string config =
      R"({"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": {"input_size": [3, 8, 8],
          "mean": [0, 0, 0], "std": [1, 1, 1]}})";
  EXPECT_TRUE(DeriveArchitecture(config, {{"a", {1 << 20, 1 << 20}}}).ok());
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{INT64_MAX, 2}, {-1}, {2, 1 << 20, 1 << 20}, {INT64_MAX, 4, 0}}) {
    EXPECT_THAT(DeriveArchitecture(config, {{"a", shape}}).status().message(),
                HasSubstr("tensor 'a' has shape"));
  }
}

TEST(Snapshot, OpensAFolder) {
  const std::string folder = WriteSnapshot(ConfigJson(TestVit()), RandomTensors(TestVit(), 1));
  const auto snapshot = OpenSnapshot(folder);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->surface.size(), 16u);
  EXPECT_EQ(snapshot->Tensors().size(), RandomTensors(TestVit(), 1).size());
  EXPECT_EQ(snapshot->config_json, ConfigJson(TestVit()));
}

TEST(Snapshot, SaysWhatAModelFolderHolds) {
  const std::string folder = NewFolder();
  for (const std::string& path : {folder, folder + "/none"}) {
    const absl::Status status = OpenSnapshot(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(status.message(), HasSubstr("holds model.safetensors and config.json"));
    EXPECT_EQ(SnapshotDigest(path).status(), status);
  }
  const std::string wrong = WriteSnapshot("{}", RandomTensors(TestVit(), 1));
  EXPECT_THAT(OpenSnapshot(wrong).status().message(), HasSubstr(wrong));
}

TEST(Snapshot, DigestDependsOnBothFiles) {
  const std::string digest =
      SnapshotDigest(WriteSnapshot("{}", RandomTensors(TestVit(), 1))).value();
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(SnapshotDigest(WriteSnapshot("{}", RandomTensors(TestVit(), 1))).value(), digest);
  EXPECT_NE(SnapshotDigest(WriteSnapshot("{ }", RandomTensors(TestVit(), 1))).value(), digest);
  EXPECT_NE(SnapshotDigest(WriteSnapshot("{}", RandomTensors(TestVit(), 2))).value(), digest);
}

}  // namespace
}  // namespace bitquake
