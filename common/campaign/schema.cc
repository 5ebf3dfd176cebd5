#include "common/campaign/schema.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/campaign/campaign.h"
#include "common/campaign/fault_entry.h"
#include "common/campaign/fault_schema.h"
#include "common/campaign/folds.h"
#include "common/campaign/granularity_entry.h"
#include "common/campaign/granularity_schema.h"
#include "common/campaign/shared_types.h"

namespace bitquake {
namespace {

constexpr uint64_t kMaxFolds = 1'000'000;
constexpr uint64_t kMaxImages = 1'000'000'000;
constexpr size_t kMaxNameCharacters = 1024;
constexpr size_t kMaxFormatCharacters = 32;
constexpr char kBerMeaning[] = "Bit-error rates: a rate, a list of rates, or a logarithmic grid";

// Models and data sets: which paths are right is for the one who opens them to say.
FieldType ResourceType(std::string noun) {
  return PlainTextType(std::move(noun), kMaxNameCharacters);
}

// Matches the names of the known formats and nothing else.
std::string FormatPattern() {
  std::vector<std::string> names;
  std::map<int, std::vector<int>> fractions;  // of fixed(m.n), by m
  for (const NumberFormat& format : KnownFormats()) {
    if (format.kind == NumberFormat::Kind::kFixed) {
      fractions[format.bits - format.fraction_bits].push_back(format.fraction_bits);
    } else {
      names.push_back(format.Name());
    }
  }
  for (const auto& [whole, below] : fractions) {
    names.push_back(absl::StrCat("fixed\\(", whole, "\\.(", absl::StrJoin(below, "|"), ")\\)"));
  }
  return absl::StrCat("^(", absl::StrJoin(names, "|"), ")$");
}

FieldType FormatType() {
  const auto right = [](absl::string_view) { return ""; };  // the check says more
  const auto check = [](const Json& name) -> std::optional<Complaint> {
    const auto format = NumberFormat::FromName(name.get<std::string>());
    return format.ok() ? std::nullopt
                       : std::optional<Complaint>({"", std::string(format.status().message())});
  };
  return {TextType{"a number format", kMaxFormatCharacters, right, FormatPattern()}, "", check};
}

FieldType ObserverType() {
  MapType percentile;
  percentile.fields = {
      {"percentile",
       {NumberType{0, false, 100}},
       "Scale from this percentile of the magnitudes; larger ones are clipped. 100 "
       "is absmax.",
       true}};
  return {OneOfType{{{EnumType{"an observer", {"absmax"}}}, {std::move(percentile)}}}};
}

FieldType SurfaceType() {
  const FieldType patterns = {
      ListType{"a list of regular expressions", {PatternType()}, kMaxSurfacePatterns, true}};
  MapType fields;
  fields.fields = {
      {"include", patterns, "RE2 patterns of parameters to add, as norms and biases: '\\.bias$'."},
      {"exclude", patterns, "RE2 patterns of parameters to leave out; wins over `include`."}};
  return {std::move(fields)};
}

FieldType ImagesType() {
  MapType spread{
      {{"spread",
        {IntegerType{1, kMaxFolds}},
        "Folds that a trial sees; they rotate, so that trials cover the data set evenly.",
        true}}};
  MapType first{{{"first",
                  {IntegerType{1, kMaxImages}},
                  "Every trial sees all of the data set's first images, this many.",
                  true}}};
  return {OneOfType{{{EnumType{"a choice of images", {"all", "spread"}}},
                     {std::move(spread)},
                     {std::move(first)}}}};
}

// `spread` can use only as many folds as there are.
std::optional<Complaint> CheckSpread(const Json& campaign) {
  const Json& images = campaign.at("images");
  if (!images.is_object() || !images.contains("spread")) {
    return std::nullopt;
  }
  const uint64_t folds = campaign.at("folds").get<uint64_t>();
  const uint64_t available = folds > 0 ? folds : kDefaultFolds;
  if (images.at("spread").get<uint64_t>() > available) {
    return Complaint{"images", absl::StrCat("spread is above the number of folds, ", available)};
  }
  return std::nullopt;
}

// What a campaign without bit-error rates must not have, and what every other needs.
std::optional<Complaint> CheckRates(const Json& campaign, const std::vector<FaultModel>& faults) {
  if (HaveBer(faults)) {
    return campaign.contains("ber")
               ? std::nullopt
               : std::optional<Complaint>({"", absl::StrCat("missing field 'ber': ", kBerMeaning)});
  }
  const std::string why = absl::StrCat(
      "does not apply: ",
      faults.front().kind == FaultModel::Kind::kList ? "a list of faults" : "a 'count' of faults",
      " has no bit-error rate; remove it");
  if (campaign.contains("ber")) {
    return Complaint{"ber", why};
  }
  for (size_t i = 0; i < campaign.at("granularities").size(); ++i) {
    const Json& entry = campaign.at("granularities")[i];
    if (!entry.is_object()) {
      continue;
    }
    const std::string path = absl::StrCat("granularities.", i, ".");
    if (entry.contains("ber")) {
      return Complaint{path + "ber", why};
    }
    if (const auto selection = entry.begin();
        selection->is_object() && selection->contains("ber")) {
      return Complaint{absl::StrCat(path, selection.key(), ".ber"), why};
    }
  }
  return std::nullopt;
}

// Every trial of a list is the same.
std::optional<Complaint> CheckTrials(const Json& campaign, const std::vector<FaultModel>& faults) {
  const bool has_list = std::any_of(faults.begin(), faults.end(), [](const FaultModel& fault) {
    return fault.kind == FaultModel::Kind::kList;
  });
  if (has_list && campaign.at("trials").get<int>() > 1) {
    return Complaint{"trials", "every trial of a list of faults is the same; give 1"};
  }
  return std::nullopt;
}

// Where fault model `i` stands.
std::string PlaceOf(const Json& campaign, size_t i) {
  return campaign.at("fault").is_array() ? absl::StrCat("fault.", i) : "fault";
}

// Results tell fault models apart by their labels.
std::optional<Complaint> CheckLabels(const Json& campaign, const std::vector<FaultModel>& faults) {
  std::map<std::string, size_t> first_with;
  for (size_t i = 0; i < faults.size(); ++i) {
    const auto [twin, fresh] = first_with.emplace(faults[i].Label(), i);
    if (!fresh) {
      return Complaint{PlaceOf(campaign, i),
                       absl::StrCat("is named '", twin->first, "' in the results, as is item ",
                                    twin->second, "; put one of them in another campaign")};
    }
  }
  return std::nullopt;
}

// Words of each format must have the bits that are spoken of.
std::optional<Complaint> CheckFormats(const Json& campaign, const std::vector<FaultModel>& faults) {
  const auto complaint = [](std::string part, const absl::Status& status) {
    return Complaint{std::move(part), std::string(status.message())};
  };
  std::optional<NumberFormat> narrowest;
  for (const Json& name : campaign.at("formats")) {
    const NumberFormat format = NumberFormat::FromName(name.get<std::string>()).value();
    for (size_t i = 0; i < faults.size(); ++i) {
      if (const absl::Status status = CheckFaultModel(faults[i], format); !status.ok()) {
        return complaint(PlaceOf(campaign, i), status);
      }
    }
    if (!narrowest || format.bits < narrowest->bits) {
      narrowest = format;
    }
  }
  for (size_t i = 0; i < campaign.at("granularities").size(); ++i) {
    const Granularity granularity = GranularityFromJson(campaign.at("granularities")[i]);
    if (const absl::Status status = CheckGranularity(granularity, *narrowest); !status.ok()) {
      return complaint(absl::StrCat("granularities.", i), status);
    }
  }
  return std::nullopt;
}

std::optional<Complaint> CheckCampaign(const Json& campaign) {
  const std::vector<FaultModel> faults = FaultsFromJson(campaign.at("fault"));
  for (const auto& complaint :
       {CheckRates(campaign, faults), CheckTrials(campaign, faults), CheckFormats(campaign, faults),
        CheckLabels(campaign, faults), CheckSpread(campaign)}) {
    if (complaint.has_value()) {
      return complaint;
    }
  }
  return std::nullopt;
}

}  // namespace

FieldType CampaignType() {
  Field trials = {"trials",
                  {IntegerType{1, kMaxTrials}},
                  "Independent draws of faults in each cell. Of a list of faults, 1.",
                  /*required=*/false,
                  10u};
  trials.default_for = [](const Json& campaign) -> Json {
    const Json faults = campaign.value("fault", Json());
    const auto is_list = [](const Json& fault) {
      return fault.is_object() &&
             (fault.contains("list") || fault.value("kind", std::string()) == "list");
    };
    const bool has_list =
        faults.is_array() ? std::any_of(faults.begin(), faults.end(), is_list) : is_list(faults);
    return has_list ? 1u : 10u;
  };
  MapType campaign;
  campaign.fields = {
      {"name", IdentifierType("a name"), "Names the campaign in results and folders.", true},
      {"seed",
       {IntegerType{0, std::numeric_limits<uint64_t>::max()}},
       "Draws the faults and the folds. The same seed gives the same results.",
       false,
       0u},
      {"models",
       {ListType{"a list of model names", {ResourceType("a model name")}, kMaxModels, true}},
       "Folders below the model root; in `bitquake run` also paths.",
       true},
      {"dataset", ResourceType("a data set's name"),
       "Folder below the data root; in `bitquake run` also a path.", true},
      {"formats",
       {ListType{"a list of number formats", {FormatType()}, kMaxFormats, true}},
       "How weights are stored: int2 to int16 (two's complement with a scale), fixed(m.n) (m + n "
       "bits with the sign, n of them after the point), fp32, fp16, bf16, fp8_e4m3, fp8_e5m2.",
       false,
       Json::array({"int8"})},
      {"scale",
       {EnumType{"a unit of scales", {"per_tensor", "per_channel"}}},
       "What has a scale of its own in an int format: a stored tensor, or each of its output "
       "channels.",
       false,
       "per_tensor"},
      {"observer", ObserverType(), "What the scale of an int format comes from.", false, "absmax"},
      {"surface", SurfaceType(),
       "Which parameters can be hit, beside those of two or more dimensions.", false,
       Json::object()},
      {"granularities", GranularitiesType(),
       "Which stored bits are hit together. A name takes all targets; a map selects some.", false,
       Json::array({"model"})},
      {"fault", FaultsType(),
       "What a fault does, how faults are drawn, and what protects the memory; or a list of "
       "several "
       "such fault models, each in cells of its own. Short: a name, {burst: 3} or {list: "
       "faults.csv}; "
       "a count needs its kind, {kind: bit_flip, count: 3}.",
       false, "bit_flip"},
      {"ber", BerType(),
       absl::StrCat(kBerMeaning,
                    ". Sorted; repeats are dropped. Required, but for a `count` or a list of "
                    "faults, which have no rate.")},
      std::move(trials),
      {"images", ImagesType(),
       "Images that a trial sees: all of them; or `spread`, one fold that rotates from trial to "
       "trial.",
       false, "all"},
      {"folds",
       {IntegerType{0, kMaxFolds}},
       "Class-balanced parts of the data set. 0: 50, fewer on sets of less than 10,000 images.",
       false,
       0u},
      {"compute",
       {EnumType{"a precision of inference", {"fp32"}}},
       "Precision of inference.",
       false,
       "fp32"},
      {"keep",
       {EnumType{"a choice of what to keep", {"none", "images"}}},
       "images: keep for each trial which images it had right, and which as without faults.",
       false,
       "none"},
      {"attention_distance",
       {EnumType{"a choice of passes", {"none", "golden", "faulty"}}},
       "Mean attention distance of each head, without faults (golden) or also under them (faulty).",
       false,
       "none"}};
  return {std::move(campaign), "", CheckCampaign};
}

}  // namespace bitquake
