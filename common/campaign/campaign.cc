#include "common/campaign/campaign.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/shown.h"
#include "common/base/status_macros.h"
#include "common/campaign/ber_grid.h"
#include "common/campaign/describe.h"
#include "common/campaign/document.h"
#include "common/campaign/granularity_entry.h"
#include "common/campaign/scalar.h"
#include "common/campaign/schema.h"
#include "common/campaign/trials_schema.h"
#include "common/campaign/validate.h"

namespace bitquake {
namespace {

ImageSelection ImagesFromJson(const Json& images) {
  using Kind = ImageSelection::Kind;
  if (images.is_string()) {
    return images == "all" ? ImageSelection{Kind::kAll, 0} : ImageSelection{Kind::kSpread, 1};
  }
  const Kind kind = images.contains("spread") ? Kind::kSpread : Kind::kFirst;
  return {kind, images.begin().value().get<int64_t>()};
}

Json ImagesToJson(const ImageSelection& images) {
  switch (images.kind) {
    case ImageSelection::Kind::kAll:
      return "all";
    case ImageSelection::Kind::kSpread:
      return {{"spread", images.count}};
    case ImageSelection::Kind::kFirst:
      return {{"first", images.count}};
  }
  return nullptr;
}

Quantization QuantizationFromJson(const Json& campaign) {
  Quantization quantization;
  quantization.scale = campaign.at("scale") == "per_channel" ? Quantization::Scale::kPerChannel
                                                             : Quantization::Scale::kPerTensor;
  if (const Json& observer = campaign.at("observer"); observer.is_object()) {
    quantization.percentile = observer.at("percentile").get<double>();
  }
  return quantization;
}

Json ObserverToJson(double percentile) {
  return percentile == 100 ? Json("absmax") : Json{{"percentile", percentile}};
}

SurfaceSelection SurfaceFromJson(const Json& surface) {
  SurfaceSelection selection;
  if (surface.contains("include")) {
    selection.include = surface.at("include").get<std::vector<std::string>>();
  }
  if (surface.contains("exclude")) {
    selection.exclude = surface.at("exclude").get<std::vector<std::string>>();
  }
  return selection;
}

Json SurfaceToJson(const SurfaceSelection& selection) {
  Json surface = Json::object();
  if (!selection.include.empty()) {
    surface["include"] = selection.include;
  }
  if (!selection.exclude.empty()) {
    surface["exclude"] = selection.exclude;
  }
  return surface;
}

// By position in Campaign::AttentionDistance.
constexpr std::array<const char*, 3> kAttentionDistances = {"none", "golden", "faulty"};

Campaign::AttentionDistance AttentionDistanceFromName(const std::string& name) {
  const auto at = std::find(kAttentionDistances.begin(), kAttentionDistances.end(), name);
  return static_cast<Campaign::AttentionDistance>(at - kAttentionDistances.begin());
}

// `json` has passed the schema.
absl::StatusOr<Campaign> CampaignFromJson(const Json& json) {
  Campaign campaign;
  campaign.name = json.at("name").get<std::string>();
  campaign.seed = json.at("seed").get<uint64_t>();
  campaign.models = json.at("models").get<std::vector<std::string>>();
  campaign.dataset = json.at("dataset").get<std::string>();
  for (const Json& name : json.at("formats")) {
    ASSIGN_OR_RETURN(NumberFormat format, NumberFormat::FromName(name.get<std::string>()));
    campaign.formats.push_back(format);
  }
  for (const Json& entry : json.at("granularities")) {
    campaign.granularities.push_back(GranularityFromJson(entry));
  }
  campaign.quantization = QuantizationFromJson(json);
  campaign.surface = SurfaceFromJson(json.at("surface"));
  campaign.faults = FaultsFromJson(json.at("fault"));
  if (json.contains("ber")) {
    campaign.search = SearchFromJson(json.at("ber"));
    campaign.ber = campaign.search ? LogGrid(campaign.search->from, campaign.search->to,
                                             campaign.search->per_decade)
                                   : BerFromJson(json.at("ber"));
  }
  campaign.trials = TrialsFromJson(json.at("trials"), json.at("interval"));
  campaign.images = ImagesFromJson(json.at("images"));
  campaign.folds = json.at("folds").get<int>();
  campaign.compute = json.at("compute").get<std::string>();
  campaign.keep_images = json.at("keep") == "images";
  campaign.attention_distance =
      AttentionDistanceFromName(json.at("attention_distance").get<std::string>());
  return campaign;
}

}  // namespace

absl::StatusOr<Campaign> ParseCampaign(absl::string_view text, absl::string_view file_name,
                                       const FaultFileReader& read) {
  Problems problems;
  if (text.size() > kMaxCampaignFileBytes) {
    problems.Add({}, absl::StrCat("has ", text.size(), " bytes; at most ", kMaxCampaignFileBytes,
                                  " are allowed"));
    return problems.ToStatus(file_name);
  }
  std::optional<Node> document = ParseDocument(text, &problems);
  std::optional<Json> checked;
  if (document) {
    InlineFaultFile(read, &*document, &problems);
    checked = Validate(*document, CampaignType(), &problems);
  }
  RETURN_IF_ERROR(problems.ToStatus(file_name));
  ASSIGN_OR_RETURN(Campaign campaign, CampaignFromJson(*checked));
  // Grids and defaults are written out in the resolved form, which must be readable again.
  if (const size_t bytes = ToJson(campaign).size(); bytes > kMaxCampaignFileBytes) {
    problems.Add({}, absl::StrCat("with its grids and defaults written out it has ", bytes,
                                  " bytes; at most ", kMaxCampaignFileBytes,
                                  " are allowed; split the campaign"));
    return problems.ToStatus(file_name);
  }
  return campaign;
}

std::string ToJson(const Campaign& campaign) {
  Json formats = Json::array();
  for (const NumberFormat& format : campaign.formats) {
    formats.push_back(format.Name());
  }
  Json granularities = Json::array();
  for (const Granularity& granularity : campaign.granularities) {
    granularities.push_back(ToJson(granularity));
  }
  Json json = {
      {"name", campaign.name},
      {"seed", campaign.seed},
      {"models", campaign.models},
      {"dataset", campaign.dataset},
      {"formats", std::move(formats)},
      {"scale", campaign.quantization.scale == Quantization::Scale::kPerChannel ? "per_channel"
                                                                                : "per_tensor"},
      {"observer", ObserverToJson(campaign.quantization.percentile)},
      {"surface", SurfaceToJson(campaign.surface)},
      {"granularities", std::move(granularities)},
      {"fault", ToJson(campaign.faults)}};
  if (HaveBer(campaign.faults)) {
    json["ber"] = campaign.search ? ToJson(*campaign.search) : Json(campaign.ber);
  }
  json["trials"] = TrialsToJson(campaign.trials);
  json["interval"] = IntervalMethodName(campaign.trials.interval);
  json["images"] = ImagesToJson(campaign.images);
  json["folds"] = campaign.folds;
  json["compute"] = campaign.compute;
  json["keep"] = campaign.keep_images ? "images" : "none";
  json["attention_distance"] =
      kAttentionDistances[static_cast<size_t>(campaign.attention_distance)];
  return json.dump(2) + "\n";
}

absl::StatusOr<const FaultModel*> FindFault(const Campaign& campaign, absl::string_view label) {
  if (campaign.faults.size() == 1) {
    return &campaign.faults.front();
  }
  for (const FaultModel& fault : campaign.faults) {
    if (fault.Label() == label) {
      return &fault;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("the campaign has no fault model '", label, "'"));
}

bool IsSearched(const Campaign& campaign, const FaultModel& fault, const Granularity& granularity) {
  return campaign.search.has_value() && fault.HasBer() && granularity.ber.empty();
}

absl::Status CheckPlainName(absl::string_view name) {
  const auto refuse = [name](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("name '", Shown(name), "' ", why, "; give a folder below the root"));
  };
  if (name.empty()) {
    return refuse("is empty");
  }
  if (HasControlCharacter(name)) {
    return refuse("holds a control character");
  }
  if (absl::StartsWith(name, "/")) {
    return refuse("is an absolute path");
  }
  if (absl::StrContains(name, '\\')) {
    return refuse("holds a backslash");
  }
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty()) {
      return refuse("has an empty part between slashes");
    }
    if (part[0] == '.') {
      return refuse("has a part that begins with '.'");
    }
  }
  return absl::OkStatus();
}

std::string CampaignJsonSchema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "Bitquake campaign"}};
  schema.update(ToJsonSchema(CampaignType()));
  return schema.dump(2) + "\n";
}

std::string CampaignReference() {
  const FieldType type = CampaignType();
  return absl::StrCat(
      "# Campaign file\n\n"
      "YAML (JSON is a part of it), at most ",
      kMaxCampaignFileBytes,
      " bytes. Unknown fields, fields given twice and values of the\n"
      "wrong type are errors. Text that looks like a number needs quotes. A whole number may be\n"
      "written 1000 or 1e3. Anchors, aliases and tags are not supported.\n\n",
      ToMarkdownTable(std::get<MapType>(type.is)));
}

std::vector<CampaignVariant> VariantsOf(const Campaign& campaign) {
  const std::string reference = NumberFormat().Name();
  std::vector<std::string> formats;
  for (const NumberFormat& format : campaign.formats) {
    formats.push_back(format.Name());
  }
  const bool measured = std::find(formats.begin(), formats.end(), reference) != formats.end();
  if (!measured) {
    formats.insert(formats.begin(), reference);
  }
  std::vector<CampaignVariant> variants;
  for (const std::string& model : campaign.models) {
    for (const std::string& format : formats) {
      variants.push_back({model, format, measured || format != reference});
    }
  }
  return variants;
}

}  // namespace bitquake
