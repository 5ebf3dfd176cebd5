#include "common/model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

using Json = nlohmann::json;

constexpr absl::string_view kSupported =
    "supported are timm's vision transformers with class-token pooling (vit_*, deit_*)";
constexpr int kMaxSide = 1 << 20;  // of anything that config.json counts

// Variants that share the names and shapes of a plain ViT's tensors, or nearly, but compute
// something else.
constexpr absl::string_view kOtherNetworks[] = {"quickgelu", "distilled", "rope",  "dinov3",
                                                "_gap",      "siglip",    "relpos"};

// model_args that may stand in a config with these values only: they leave the network as it is.
struct Neutral {
  const char* name;
  std::vector<Json> values;
};

const std::vector<Neutral>& NeutralArguments() {
  static const auto& arguments = *new std::vector<Neutral>{
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
      {"num_classes", {}},  // checked against head.weight through the top level
      {"patch_drop_rate", {}},
      {"pos_drop_rate", {}},
      {"proj_bias", {true}},
      {"proj_drop_rate", {}},
      {"qk_norm", {false}},
      {"reg_tokens", {0}},
      {"weight_init", {}},
  };
  return arguments;
}

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", field, ": ", what));
}

// Values of an untrusted file, for errors.
std::string Shown(const Json& value) {
  constexpr size_t kLongest = 80;
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

bool IsSide(const Json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() >= 1 &&
         value.get<uint64_t>() <= kMaxSide;
}

// A field that is absent or null stays empty.
const Json* Present(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::Status ReadSide(const Json& object, const char* field, std::optional<int>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (value->is_array() && value->size() == 2 && (*value)[0] == (*value)[1]) {  // [224, 224]
    value = &(*value)[0];
  }
  if (!IsSide(*value)) {
    return Invalid(field, absl::StrCat(Shown(*value),
                                       " is no positive whole number (only square "
                                       "images and patches are supported)"));
  }
  out = value->get<int>();
  return absl::OkStatus();
}

absl::Status ReadNumber(const Json& object, const char* field, double low, double high,
                        std::optional<double>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_number() || !(value->get<double>() > low && value->get<double>() <= high)) {
    return Invalid(field,
                   absl::StrCat(Shown(*value), " is no number above ", low, " and up to ", high));
  }
  out = value->get<double>();
  return absl::OkStatus();
}

absl::Status ReadFlag(const Json& object, const char* field, std::optional<bool>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_boolean()) {
    return Invalid(field, absl::StrCat(Shown(*value), " is neither true nor false"));
  }
  out = value->get<bool>();
  return absl::OkStatus();
}

absl::Status ReadChoice(const Json& object, const char* field,
                        const std::vector<std::string>& choices, std::string& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_string() ||
      std::find(choices.begin(), choices.end(), value->get<std::string>()) == choices.end()) {
    return Invalid(field, absl::StrCat(Shown(*value), " is not supported; supported: ",
                                       choices.front(), choices.size() > 1 ? ", " : "",
                                       choices.size() > 1 ? choices.back() : ""));
  }
  out = value->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadChannels(const Json& object, const char* field, double low, double high,
                          std::array<double, 3>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  const auto good = [&](const Json& item) {
    return item.is_number() && item.get<double>() >= low && item.get<double>() <= high;
  };
  if (!value->is_array() || value->size() != 3 ||
      !std::all_of(value->begin(), value->end(), good)) {
    return Invalid(field, absl::StrCat(Shown(*value), " should be three numbers in [", low, ", ",
                                       high, "], one for each channel"));
  }
  out = value->get<std::array<double, 3>>();
  return absl::OkStatus();
}

absl::Status ReadArchitecture(const Json& config, std::string& name) {
  const auto found = config.find("architecture");
  if (found == config.end() || !found->is_string()) {
    return Invalid("architecture",
                   "missing; is this the config.json of a timm model (with 'architecture' and "
                   "'pretrained_cfg')?");
  }
  name = found->get<std::string>();
  if (!absl::StartsWith(name, "vit_") && !absl::StartsWith(name, "deit_")) {
    return Invalid("architecture", absl::StrCat(Shown(*found), " is not supported; ", kSupported));
  }
  for (const absl::string_view other : kOtherNetworks) {
    if (absl::StrContains(name, other)) {
      return Invalid("architecture", absl::StrCat(Shown(*found), " is not supported ('", other,
                                                  "' marks another network); ", kSupported));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadPreprocessing(const Json& config, ModelConfig& out) {
  const auto nested = config.find("pretrained_cfg");
  const Json& source = nested == config.end() ? config : *nested;  // older configs are flat
  if (!source.is_object()) {
    return Invalid("pretrained_cfg", "should be a JSON object");
  }
  if (const Json* size = Present(source, "input_size")) {
    if (!size->is_array() || size->size() != 3 ||
        !std::all_of(size->begin(), size->end(), IsSide)) {
      return Invalid("input_size", absl::StrCat(Shown(*size), " should be [3, height, width]"));
    }
    out.input_size = size->get<std::array<int, 3>>();
  }
  Preprocessing& preprocessing = out.preprocessing;
  // timm's DeiT was trained with other means than its ViT: no default suits both.
  if (absl::StartsWith(out.architecture, "deit_") &&
      (Present(source, "mean") == nullptr || Present(source, "std") == nullptr)) {
    return Invalid("pretrained_cfg", "mean and std are missing");
  }
  std::optional<double> crop_pct;
  RETURN_IF_ERROR(ReadNumber(source, "crop_pct", 0, 1, crop_pct));
  preprocessing.crop_pct = crop_pct.value_or(preprocessing.crop_pct);
  RETURN_IF_ERROR(ReadChoice(source, "crop_mode", {"center", "squash"}, preprocessing.crop_mode));
  RETURN_IF_ERROR(
      ReadChoice(source, "interpolation", {"bicubic", "bilinear"}, preprocessing.interpolation));
  RETURN_IF_ERROR(ReadChannels(source, "mean", -1000, 1000, preprocessing.mean));
  RETURN_IF_ERROR(ReadChannels(source, "std", 1e-6, 1000, preprocessing.std));
  if (!out.num_classes) {
    RETURN_IF_ERROR(ReadSide(source, "num_classes", out.num_classes));
  }
  return absl::OkStatus();
}

absl::Status CheckArgumentNames(const Json& arguments) {
  std::vector<std::string> known = {"img_size",  "patch_size", "embed_dim", "depth",
                                    "num_heads", "mlp_ratio",  "qkv_bias",  "pre_norm"};
  const std::vector<std::string> read = known;
  for (const Neutral& neutral : NeutralArguments()) {
    known.push_back(neutral.name);
  }
  for (const auto& [name, value] : arguments.items()) {
    if (std::find(read.begin(), read.end(), name) != read.end()) {
      continue;
    }
    const std::string field = absl::StrCat("model_args.", name);
    const auto neutral = std::find_if(
        NeutralArguments().begin(), NeutralArguments().end(),
        [&, key = absl::string_view(name)](const Neutral& n) { return n.name == key; });
    if (neutral == NeutralArguments().end()) {
      return Invalid(
          field, absl::StrCat("unknown, and it may change the network", DidYouMean(name, known)));
    }
    if (!neutral->values.empty() &&
        std::find(neutral->values.begin(), neutral->values.end(), value) == neutral->values.end()) {
      return Invalid(field, absl::StrCat(Shown(value), " is not supported; supported: ",
                                         Shown(neutral->values.back())));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadArguments(const Json& config, ModelConfig& out) {
  const auto found = config.find("model_args");
  if (found == config.end()) {
    return absl::OkStatus();
  }
  const Json& arguments = *found;
  if (!arguments.is_object()) {
    return Invalid("model_args", "should be a JSON object");
  }
  RETURN_IF_ERROR(CheckArgumentNames(arguments));
  RETURN_IF_ERROR(ReadSide(arguments, "img_size", out.img_size));
  RETURN_IF_ERROR(ReadSide(arguments, "patch_size", out.patch_size));
  RETURN_IF_ERROR(ReadSide(arguments, "embed_dim", out.embed_dim));
  RETURN_IF_ERROR(ReadSide(arguments, "depth", out.depth));
  RETURN_IF_ERROR(ReadSide(arguments, "num_heads", out.num_heads));
  RETURN_IF_ERROR(ReadNumber(arguments, "mlp_ratio", 0, 1000, out.mlp_ratio));
  RETURN_IF_ERROR(ReadFlag(arguments, "qkv_bias", out.qkv_bias));
  return ReadFlag(arguments, "pre_norm", out.pre_norm);
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text) {
  const Json config = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return absl::InvalidArgumentError("config.json: not a JSON object");
  }
  ModelConfig out;
  RETURN_IF_ERROR(ReadArchitecture(config, out.architecture));
  RETURN_IF_ERROR(ReadSide(config, "num_classes", out.num_classes));
  std::string pool;
  RETURN_IF_ERROR(ReadChoice(config, "global_pool", {"token"}, pool));
  RETURN_IF_ERROR(ReadNumber(config, "norm_eps", 0, 1, out.norm_eps));
  RETURN_IF_ERROR(ReadPreprocessing(config, out));
  RETURN_IF_ERROR(ReadArguments(config, out));
  return out;
}

}  // namespace bitquake
