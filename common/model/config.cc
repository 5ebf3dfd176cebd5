#include "common/model/config.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/json_nesting.h"
#include "common/base/status_macros.h"
#include "common/model/json_fields.h"

namespace bitquake {
namespace {

using json_fields::Invalid;
using json_fields::IsSide;
using json_fields::Json;
using json_fields::Present;
using json_fields::Shown;

absl::Status ReadArchitecture(const Json& config, ModelConfig& out) {
  const auto found = config.find("architecture");
  if (found == config.end() || !found->is_string()) {
    return Invalid("architecture",
                   "missing; is this the config.json of a timm model (with 'architecture' and "
                   "'pretrained_cfg')?");
  }
  out.architecture = found->get<std::string>();
  out.family = FamilyOf(out.architecture);
  if (out.family.family == Family::kTorchScript) {
    out.family.why = absl::StrCat("config.json: architecture: ", Shown(*found),
                                  " is not supported; ", out.family.why);
  }
  return absl::OkStatus();
}

// How the class scores are pooled: the token's, or the mean of all.
absl::Status ReadPool(const Json& config, Family family) {
  std::string pool;
  switch (family) {
    case Family::kVit:
    case Family::kDeepVit:
      return json_fields::ReadChoice(config, "global_pool", {"token"}, pool);
    case Family::kSwin:
      return json_fields::ReadChoice(config, "global_pool", {"avg"}, pool);
    case Family::kTorchScript:
      break;
  }
  return absl::OkStatus();
}

// timm's defaults for a plain ViT; its other networks were trained with other means.
bool HasDefaultMeans(const ModelConfig& config) {
  return absl::StartsWith(config.architecture, "vit_") && config.family.family == Family::kVit &&
         !absl::StrContains(config.architecture, "clip");
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
  if (!HasDefaultMeans(out) &&
      (Present(source, "mean") == nullptr || Present(source, "std") == nullptr)) {
    return Invalid("pretrained_cfg", "mean and std are missing");
  }
  Preprocessing& preprocessing = out.preprocessing;
  std::optional<double> crop_pct;
  RETURN_IF_ERROR(json_fields::ReadNumber(source, "crop_pct", 0, 1, crop_pct));
  preprocessing.crop_pct = crop_pct.value_or(preprocessing.crop_pct);
  RETURN_IF_ERROR(
      json_fields::ReadChoice(source, "crop_mode", {"center", "squash"}, preprocessing.crop_mode));
  RETURN_IF_ERROR(json_fields::ReadChoice(source, "interpolation", {"bicubic", "bilinear"},
                                          preprocessing.interpolation));
  RETURN_IF_ERROR(json_fields::ReadChannels(source, "mean", -1000, 1000, preprocessing.mean));
  RETURN_IF_ERROR(json_fields::ReadChannels(source, "std", 1e-6, 1000, preprocessing.std));
  if (!out.num_classes) {
    RETURN_IF_ERROR(json_fields::ReadSide(source, "num_classes", out.num_classes));
  }
  return absl::OkStatus();
}

// Discarded if it is none, or nested too deeply.
Json ParseJson(absl::string_view text) {
  if (JsonNesting(text) > kMaxJsonNesting) {
    return Json(Json::value_t::discarded);
  }
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text) {
  const Json config = ParseJson(text);
  if (!config.is_object()) {
    return absl::InvalidArgumentError(
        "config.json: not a JSON object, or one that is nested too deeply; is it whole? fetch it "
        "again");
  }
  ModelConfig out;
  RETURN_IF_ERROR(ReadArchitecture(config, out));
  const Family family = out.family.family;
  RETURN_IF_ERROR(json_fields::ReadSide(config, "num_classes", out.num_classes));
  RETURN_IF_ERROR(ReadPool(config, family));
  RETURN_IF_ERROR(json_fields::ReadNumber(config, "norm_eps", 0, 1, out.norm_eps));
  RETURN_IF_ERROR(ReadPreprocessing(config, out));
  const auto arguments = config.find("model_args");
  if (arguments != config.end() && family != Family::kTorchScript) {
    ASSIGN_OR_RETURN(out.args, ParseModelArgs(family, *arguments));
  }
  return out;
}

std::string WhyTorchScript(absl::string_view text) {
  const Json config = ParseJson(text);
  ModelConfig out;
  return config.is_object() && ReadArchitecture(config, out).ok() ? out.family.why : "";
}

}  // namespace bitquake
