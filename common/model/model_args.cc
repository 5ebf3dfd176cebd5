#include "common/model/model_args.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/model/json_fields.h"

namespace bitquake {
namespace {

using json_fields::Invalid;
using json_fields::Json;
using json_fields::Shown;

// Values with which an argument leaves the network as it is; none: any does.
using Neutral = std::map<std::string, std::vector<Json>>;

struct Arguments {
  std::vector<std::string> read;
  Neutral neutral;
};

const Arguments& ArgumentsOfVit() {
  static const auto& arguments =
      *new Arguments{{"img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio",
                      "qkv_bias", "pre_norm"},
                     {
                         {"act_layer", {nullptr, "gelu"}},
                         {"attn_drop_rate", {}},
                         {"block_fn", {nullptr}},
                         {"class_token", {true}},
                         {"drop_path_rate", {}},
                         {"drop_rate", {}},
                         {"dynamic_img_pad", {false}},
                         {"dynamic_img_size", {false}},
                         {"embed_norm_layer", {nullptr}},
                         {"fc_norm", {nullptr, false}},
                         {"final_norm", {true}},
                         {"global_pool", {"token"}},
                         {"in_chans", {3}},
                         {"init_values", {nullptr}},
                         {"no_embed_class", {false}},
                         {"norm_layer", {nullptr}},
                         {"num_classes", {}},  // the top level's is checked against the head
                         {"patch_drop_rate", {}},
                         {"pos_drop_rate", {}},
                         {"proj_bias", {true}},
                         {"proj_drop_rate", {}},
                         {"qk_norm", {false}},
                         {"reg_tokens", {0}},
                         {"weight_init", {}},
                     }};
  return arguments;
}

const Arguments& ArgumentsOfSwin() {
  static const auto& arguments =
      *new Arguments{{"img_size", "patch_size", "embed_dim", "depths", "num_heads", "window_size",
                      "mlp_ratio", "qkv_bias"},
                     {
                         {"always_partition", {false}},
                         {"ape", {false}},
                         {"attn_drop_rate", {}},
                         {"drop_path_rate", {}},
                         {"drop_rate", {}},
                         {"global_pool", {"avg"}},
                         {"head_dim", {nullptr}},
                         {"in_chans", {3}},
                         {"norm_layer", {nullptr}},
                         {"num_classes", {}},
                         {"patch_norm", {true}},
                         {"proj_drop_rate", {}},
                         {"strict_img_size", {true}},
                         {"weight_init", {}},
                     }};
  return arguments;
}

const Arguments& ArgumentsOfDeepVit() {
  static const auto& arguments = *new Arguments{
      {"img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "qkv_bias"},
      {
          {"attn_drop_rate", {}},
          {"drop_path_rate", {}},
          {"drop_rate", {}},
          {"expansion_ratio", {3}},
          {"group", {false}},
          {"hybrid_backbone", {nullptr}},
          {"in_chans", {3}},
          {"norm_layer", {nullptr}},
          {"num_classes", {}},
          {"qk_scale", {nullptr}},
          {"re_atten", {true}},
          {"transform_scale", {false}},
      }};
  return arguments;
}

const Arguments& ArgumentsOf(Family family) {
  switch (family) {
    case Family::kSwin:
      return ArgumentsOfSwin();
    case Family::kDeepVit:
      return ArgumentsOfDeepVit();
    case Family::kVit:
    case Family::kTorchScript:
      break;
  }
  return ArgumentsOfVit();
}

absl::Status CheckNames(const Arguments& known, const Json& arguments) {
  std::vector<std::string> names = known.read;
  for (const auto& [name, values] : known.neutral) {
    names.push_back(name);
  }
  for (const auto& [name, value] : arguments.items()) {
    if (std::find(known.read.begin(), known.read.end(), name) != known.read.end()) {
      continue;
    }
    const std::string field = absl::StrCat("model_args.", name);
    const auto neutral = known.neutral.find(name);
    if (neutral == known.neutral.end()) {
      return Invalid(
          field, absl::StrCat("unknown, and it may change the network", DidYouMean(name, names)));
    }
    const std::vector<Json>& values = neutral->second;
    if (!values.empty() && std::find(values.begin(), values.end(), value) == values.end()) {
      return Invalid(field, absl::StrCat(Shown(value),
                                         " is not supported; supported: ", Shown(values.back())));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelArgs> ParseModelArgs(Family family, const Json& arguments) {
  if (!arguments.is_object()) {
    return Invalid("model_args", "should be a JSON object");
  }
  RETURN_IF_ERROR(CheckNames(ArgumentsOf(family), arguments));
  ModelArgs out;
  RETURN_IF_ERROR(json_fields::ReadSide(arguments, "img_size", out.img_size));
  RETURN_IF_ERROR(json_fields::ReadSide(arguments, "patch_size", out.patch_size));
  RETURN_IF_ERROR(json_fields::ReadSide(arguments, "embed_dim", out.embed_dim));
  RETURN_IF_ERROR(json_fields::ReadSide(arguments, "depth", out.depth));
  RETURN_IF_ERROR(json_fields::ReadSides(arguments, "depths", out.depths));
  RETURN_IF_ERROR(json_fields::ReadSides(arguments, "num_heads", out.num_heads));
  RETURN_IF_ERROR(json_fields::ReadSides(arguments, "window_size", out.window_size));
  RETURN_IF_ERROR(json_fields::ReadNumber(arguments, "mlp_ratio", 0, 1000, out.mlp_ratio));
  RETURN_IF_ERROR(json_fields::ReadFlag(arguments, "qkv_bias", out.qkv_bias));
  RETURN_IF_ERROR(json_fields::ReadFlag(arguments, "pre_norm", out.pre_norm));
  if (family != Family::kSwin && out.num_heads.size() > 1) {
    return Invalid("num_heads", absl::StrCat(Shown(arguments["num_heads"]),
                                             " should be one number for all blocks"));
  }
  return out;
}

}  // namespace bitquake
