#include "common/campaign/granularity_schema.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/campaign/granularity_entry.h"
#include "common/campaign/shared_types.h"

namespace bitquake {
namespace {

constexpr uint64_t kMaxBlockIndex = 9999;

Field OwnBerField() {
  return {"ber", BerType(), "Bit-error rates of these targets. The campaign's if missing."};
}

Field BitsField() {
  OneOfType choice;
  choice.alternatives = {{EnumType{"a choice of bit positions", {"each"}}}, PositionsType()};
  return {"bits",
          {std::move(choice)},
          "A target for each of these bit positions of what would be one (0 is the least "
          "significant), or for `each` of the format's. All bits together if missing."};
}

Field BlocksField(std::string more = "") {
  FieldType index = {IntegerType{0, kMaxBlockIndex}};
  return {"blocks",
          {ListType{"a list of block numbers", {std::move(index)}, kMaxBlockIndex + 1, true}},
          absl::StrCat("Only these blocks, counted from 0 in forward order", more,
                       ". All if missing.")};
}

Field PerField() {
  return {"per",
          {EnumType{"a unit of targets", {"model", "block"}}},
          "Targets over all blocks together (model), or one for each block.",
          /*required=*/false,
          "model"};
}

FieldType QkvTypesType() {
  return {ListType{"a list of q, k and v",
                   {{EnumType{"a type of attention weights", {"q", "k", "v"}}}},
                   3,
                   true}};
}

// Targets over all blocks are not named by blocks.
std::optional<Complaint> CheckBlocksPerBlock(const Json& selection) {
  if (selection.contains("blocks") && selection.at("per") != "block") {
    return Complaint{"blocks", "needs 'per: block'"};
  }
  return std::nullopt;
}

// {name: {fields...}}
FieldType SelectionType(std::string name, std::string doc, std::vector<Field> fields) {
  MapType entry;
  entry.fields.push_back({std::move(name), {MapType{std::move(fields)}}, doc, /*required=*/true});
  return {std::move(entry)};
}

FieldType PartSelectionType() {
  MapType entry;
  entry.fields.push_back(
      {"part",
       {MapType{{PerField(), BlocksField(", with `per: block`"), BitsField(), OwnBerField()}}, "",
        CheckBlocksPerBlock},
       "A target for each part: embed, attention, mlp, head.",
       /*required=*/true});
  return {std::move(entry)};
}

FieldType TypeSelectionType() {
  MapType entry;
  entry.fields.push_back({"type", QkvTypesType(),
                          "The query, key or value weights of attention, a target for each.",
                          /*required=*/true});
  entry.fields.push_back(PerField());
  entry.fields.push_back(BlocksField(", with `per: block`"));
  entry.fields.push_back(BitsField());
  entry.fields.push_back(OwnBerField());
  return {std::move(entry), "", CheckBlocksPerBlock};
}

FieldType RegexSelectionType() {
  return SelectionType("regex", "One target: all tensors whose name matches.",
                       {{"match", PatternType(),
                         "RE2 pattern; a part of a tensor's name suffices: '^blocks\\.0\\.'.",
                         /*required=*/true},
                        {"name", IdentifierType("a target's name"),
                         "Names the target in the results. The pattern if missing."},
                        BitsField(),
                        OwnBerField()});
}

FieldType GranularityType() {
  OneOfType choice;
  choice.alternatives = {
      {EnumType{"a granularity", {"model", "block", "tensor", "part", "type", "head", "bit"}}},
      SelectionType("model", "One target: all of the model.", {BitsField(), OwnBerField()}),
      SelectionType("block", "A target for each block.",
                    {BlocksField(), BitsField(), OwnBerField()}),
      SelectionType("tensor", "A target for each tensor.",
                    {BlocksField(), BitsField(), OwnBerField()}),
      PartSelectionType(),
      TypeSelectionType(),
      SelectionType("head", "A target for each attention head of each block.",
                    {BlocksField(),
                     {"types", QkvTypesType(),
                      "A target for each of these types of a head. If missing, a head's query, key "
                      "and value weights are one target."},
                     BitsField(),
                     OwnBerField()}),
      SelectionType("bit", "A target for each bit position of all of the model's words.",
                    {{"positions", PositionsType(),
                      "Only these, 0 is the least significant. All of the format's if missing."},
                     OwnBerField()}),
      RegexSelectionType()};
  return {std::move(choice)};
}

// Each entry's targets must be its own: cells are named by their targets.
std::optional<Complaint> CheckOverlap(const Json& list) {
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

}  // namespace

FieldType GranularitiesType() {
  return {ListType{"a list of granularities", {GranularityType()}, kMaxGranularities, false}, "",
          CheckOverlap};
}

}  // namespace bitquake
