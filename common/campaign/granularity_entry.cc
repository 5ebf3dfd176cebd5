#include "common/campaign/granularity_entry.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/campaign/ber_grid.h"

namespace bitquake {
namespace {

constexpr std::array kTypes = {QkvType::kQ, QkvType::kK, QkvType::kV};

Granularity::Kind KindFromName(const std::string& name) {
  const std::vector<Granularity::Kind>& kinds = AllGranularityKinds();
  return *std::find_if(kinds.begin(), kinds.end(), [&name](Granularity::Kind kind) {
    Granularity granularity;
    granularity.kind = kind;
    return granularity.Name() == name;
  });
}

std::vector<QkvType> TypesFromJson(const Json& names) {
  std::vector<QkvType> types;
  for (const QkvType type : kTypes) {
    if (std::count(names.begin(), names.end(), std::string(Name(type))) > 0) {
      types.push_back(type);
    }
  }
  return types;
}

template <typename T>
Json TypesToJson(const T& types) {
  Json names = Json::array();
  for (const QkvType type : types) {
    names.push_back(std::string(Name(type)));
  }
  return names;
}

std::vector<int> Ascending(const Json& numbers) {
  std::vector<int> sorted = numbers.get<std::vector<int>>();
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// Reads the fields that are there. `fields` is the map below the granularity's name; for type,
// whose name holds the types, the entry itself.
void ReadFields(const Json& fields, Granularity* granularity) {
  granularity->per_block = fields.contains("per") && fields.at("per") == "block";
  if (fields.contains("blocks")) {
    granularity->blocks = Ascending(fields.at("blocks"));
  }
  if (fields.contains("types")) {
    granularity->types = TypesFromJson(fields.at("types"));
  }
  if (fields.contains("match")) {
    granularity->pattern = fields.at("match").get<std::string>();
  }
  if (fields.contains("name")) {
    granularity->name = fields.at("name").get<std::string>();
  }
  for (const char* field : {"bits", "positions"}) {
    if (fields.contains(field)) {
      granularity->each_position = fields.at(field) == "each";
      granularity->positions =
          granularity->each_position ? std::vector<int>() : Ascending(fields.at(field));
    }
  }
  if (fields.contains("ber")) {
    granularity->ber = BerFromJson(fields.at("ber"));
  }
}

// Those that say more than the granularity's name.
Json WriteFields(const Granularity& granularity) {
  using Kind = Granularity::Kind;
  Json fields = Json::object();
  if (!granularity.pattern.empty()) {
    fields["match"] = granularity.pattern;
  }
  if (!granularity.name.empty()) {
    fields["name"] = granularity.name;
  }
  if (granularity.per_block) {
    fields["per"] = "block";
  }
  if (!granularity.blocks.empty()) {
    fields["blocks"] = granularity.blocks;
  }
  if (!granularity.types.empty() && granularity.kind != Kind::kType) {
    fields["types"] = TypesToJson(granularity.types);
  }
  if (!granularity.positions.empty()) {
    fields[granularity.kind == Kind::kBit ? "positions" : "bits"] = granularity.positions;
  } else if (granularity.each_position && granularity.kind != Kind::kBit) {
    fields["bits"] = "each";
  }
  if (!granularity.ber.empty()) {
    fields["ber"] = granularity.ber;
  }
  return fields;
}

// An empty selection means everything.
template <typename T>
bool SelectionsMeet(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || b.empty() ||
         std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) != a.end();
}

// The names that targets of a regex granularity can have.
std::vector<std::string> RegexNames(const Granularity& granularity) {
  const std::string name = granularity.name.empty() ? granularity.pattern : granularity.name;
  std::vector<std::string> names;
  for (const int position : granularity.positions) {
    names.push_back(absl::StrCat(name, ".bit", position));
  }
  constexpr int kMaxWordBits = 32;
  for (int position = 0; granularity.each_position && position < kMaxWordBits; ++position) {
    names.push_back(absl::StrCat(name, ".bit", position));
  }
  return names.empty() ? std::vector<std::string>{name} : names;
}

}  // namespace

Granularity GranularityFromJson(const Json& entry) {
  Granularity granularity;
  if (entry.is_string()) {
    granularity.kind = KindFromName(entry.get<std::string>());
    return granularity;
  }
  granularity.kind = KindFromName(entry.begin().key());
  if (granularity.kind != Granularity::Kind::kType) {
    ReadFields(entry.begin().value(), &granularity);
    return granularity;
  }
  ReadFields(entry, &granularity);
  granularity.types = TypesFromJson(entry.at("type"));
  if (granularity.types.size() == kTypes.size()) {
    granularity.types.clear();  // all of them, as the plain name says
  }
  return granularity;
}

Json ToJson(const Granularity& granularity) {
  const std::string name(granularity.Name());
  const Json fields = WriteFields(granularity);
  if (granularity.kind != Granularity::Kind::kType) {
    return fields.empty() ? Json(name) : Json{{name, fields}};
  }
  if (fields.empty() && granularity.types.empty()) {
    return name;
  }
  const Json types =
      granularity.types.empty() ? TypesToJson(kTypes) : TypesToJson(granularity.types);
  Json entry = {{"type", types}, {"per", "model"}};
  entry.update(fields);
  return entry;
}

bool Overlap(const Granularity& a, const Granularity& b) {
  if (a.kind != b.kind || a.per_block != b.per_block || !SelectionsMeet(a.blocks, b.blocks)) {
    return false;
  }
  if (a.kind == Granularity::Kind::kRegex) {
    // One pattern by two names would run twice as well.
    const bool twins = a.pattern == b.pattern && a.by_position() == b.by_position() &&
                       SelectionsMeet(a.positions, b.positions);
    return twins || SelectionsMeet(RegexNames(a), RegexNames(b));
  }
  if (a.kind == Granularity::Kind::kHead && a.types.empty() != b.types.empty()) {
    return false;  // whole heads beside their types apart
  }
  if (a.by_position() != b.by_position() || !SelectionsMeet(a.positions, b.positions)) {
    return false;  // bit positions apart, beside all of them or others
  }
  return SelectionsMeet(a.types, b.types);
}

}  // namespace bitquake
