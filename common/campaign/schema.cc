#include "common/campaign/schema.h"

#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/campaign/ber_grid.h"
#include "common/campaign/campaign.h"
#include "common/campaign/folds.h"
#include "common/campaign/granularity_entry.h"
#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

constexpr uint64_t kMaxFolds = 1'000'000;
constexpr uint64_t kMaxImages = 1'000'000'000;
constexpr uint64_t kMaxPerDecade = 1000;
constexpr uint64_t kMaxBlockIndex = 9999;

// The campaign's name becomes a folder and a column of its results.
FieldType NameType() {
  const auto problem = [](absl::string_view name) -> std::string {
    for (const char c : name) {
      if (!absl::ascii_isalnum(c) && c != '.' && c != '_' && c != '-') {
        return "holds a character other than A-Z, a-z, 0-9, '.', '_' and '-'";
      }
    }
    if (name.empty() || name[0] == '.' || name[0] == '-') {
      return "must begin with a letter, a digit or '_'";
    }
    return "";
  };
  return {TextType{"a name", 64, problem, "^[A-Za-z0-9_][A-Za-z0-9._-]*$"}};
}

// Models and data sets: which paths are right is for the one who opens them to say.
FieldType ResourceType(std::string noun) {
  const auto problem = [](absl::string_view name) -> std::string {
    if (name.empty()) {
      return "is empty";
    }
    return HasControlCharacter(name) ? "holds a control character" : "";
  };
  return {TextType{std::move(noun), 1024, problem, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"}};
}

FieldType FormatType() {
  EnumType formats{"a number format (int2 to int16, fp32)", {}};
  for (int bits = 16; bits >= 2; --bits) {
    formats.values.push_back(absl::StrCat("int", bits));
  }
  formats.values.push_back("fp32");
  return {std::move(formats)};
}

std::optional<Complaint> CheckGrid(const Json& grid) {
  const double from = grid.at("from").get<double>();
  const double to = grid.at("to").get<double>();
  if (from > to) {
    return Complaint{"to", "must not be below 'from'"};
  }
  const double size = LogGridSize(from, to, grid.at("per_decade").get<int>());
  if (size > static_cast<double>(kMaxBitErrorRates)) {
    return Complaint{
        "", absl::StrCat("gives more than ", kMaxBitErrorRates, " rates; lower 'per_decade'")};
  }
  return std::nullopt;
}

FieldType BerType() {
  const NumberType rate{0, true, 1};
  const NumberType positive_rate{0, false, 1};
  MapType grid;
  grid.fields = {{"from", {positive_rate}, "The lowest rate.", true},
                 {"to", {positive_rate}, "The highest rate.", true},
                 {"per_decade",
                  {IntegerType{1, kMaxPerDecade}},
                  "Rates a decade: from * 10^(k / per_decade), k = 0, 1, ..., rounded to 9 "
                  "significant digits; `to` is always the last.",
                  true}};
  return {OneOfType{{{rate},
                     {ListType{"a list of rates", {{rate}}, kMaxBitErrorRates, false}},
                     {std::move(grid), "", CheckGrid}}}};
}

// Of one granularity.
Field OwnBerField() {
  return {"ber", BerType(), "Bit-error rates of these targets. The campaign's if missing."};
}

Field BlocksField() {
  FieldType index = {IntegerType{0, kMaxBlockIndex}};
  return {"blocks",
          {ListType{"a list of block numbers", {std::move(index)}, kMaxBlockIndex + 1, true}},
          "Only these blocks, counted from 0 in forward order. All if missing."};
}

FieldType QkvTypesType() {
  return {ListType{"a list of q, k and v",
                   {{EnumType{"a type of attention weights", {"q", "k", "v"}}}},
                   3,
                   true}};
}

// {name: {fields...}}
FieldType SelectionType(std::string name, std::string doc, std::vector<Field> fields) {
  MapType entry;
  entry.fields.push_back({std::move(name), {MapType{std::move(fields)}}, doc, /*required=*/true});
  return {std::move(entry)};
}

FieldType TypeSelectionType() {
  MapType entry;
  entry.fields.push_back({"type", QkvTypesType(),
                          "The query, key or value weights of attention, a target for each.",
                          /*required=*/true});
  entry.fields.push_back({"per",
                          {EnumType{"a unit of targets", {"model", "block"}}},
                          "Targets over all blocks together (model), or one for each block.",
                          /*required=*/false,
                          "model"});
  entry.fields.push_back(OwnBerField());
  return {std::move(entry)};
}

FieldType GranularityType() {
  OneOfType choice;
  choice.alternatives = {
      {EnumType{"a granularity", {"model", "block", "tensor", "type", "head"}}},
      SelectionType("model", "One target: all of the model.", {OwnBerField()}),
      SelectionType("block", "A target for each block.", {BlocksField(), OwnBerField()}),
      SelectionType("tensor", "A target for each tensor.", {BlocksField(), OwnBerField()}),
      TypeSelectionType(),
      SelectionType("head", "A target for each attention head of each block.",
                    {BlocksField(),
                     {"types", QkvTypesType(),
                      "A target for each of these types of a head. If missing, a head's query, key "
                      "and value weights are one target."},
                     OwnBerField()})};
  return {std::move(choice)};
}

// Each entry's targets must be its own: cells are named by their targets.
std::optional<Complaint> CheckGranularities(const Json& list) {
  std::vector<Granularity> granularities;
  for (const Json& entry : list) {
    granularities.push_back(GranularityFromJson(entry));
    for (size_t i = 0; i + 1 < granularities.size(); ++i) {
      if (Overlap(granularities[i], granularities.back())) {
        return Complaint{absl::StrCat(granularities.size() - 1),
                         absl::StrCat("names targets that item ", i, " also names")};
      }
    }
  }
  return std::nullopt;
}

FieldType FaultType() {
  const EnumType kind{"a fault model", {"bit_flip"}};
  MapType fields;
  fields.fields.push_back({"kind", {kind}, "bit_flip: a faulty bit is inverted.", true});
  fields.fields.push_back({"sampling",
                           {EnumType{"a way of sampling", {"bernoulli"}}},
                           "bernoulli: each bit is faulty independently, with probability BER.",
                           false,
                           "bernoulli"});
  return {OneOfType{{{kind}, {std::move(fields)}}}};
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

}  // namespace

FieldType CampaignType() {
  MapType campaign;
  campaign.fields = {
      {"name", NameType(), "Names the campaign in results and folders.", true},
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
       "How weights are stored: int2 to int16 (two's complement with a scale), or fp32.",
       false,
       Json::array({"int8"})},
      {"granularities",
       {ListType{"a list of granularities", {GranularityType()}, kMaxGranularities, false}, "",
        CheckGranularities},
       "Which stored bits are hit together. A name takes all targets; a map selects some.",
       false,
       Json::array({"model"})},
      {"fault", FaultType(), "What a fault does to a bit.", false, "bit_flip"},
      {"ber", BerType(),
       "Bit-error rates: a rate, a list of rates, or a logarithmic grid. Sorted; repeats are "
       "dropped.",
       true},
      {"trials",
       {IntegerType{1, kMaxTrials}},
       "Independent draws of faults in each cell.",
       false,
       10u},
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
       "fp32"}};
  return {std::move(campaign), "", CheckSpread};
}

}  // namespace bitquake
