#include "common/campaign/granularity_entry.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "common/campaign/ber_grid.h"

namespace bitquake {
namespace {

constexpr std::array kKinds = {Granularity::Kind::kModel, Granularity::Kind::kBlock,
                               Granularity::Kind::kTensor, Granularity::Kind::kType,
                               Granularity::Kind::kHead};
constexpr std::array kTypes = {QkvType::kQ, QkvType::kK, QkvType::kV};

Granularity::Kind KindFromName(const std::string& name) {
  return *std::find_if(kKinds.begin(), kKinds.end(), [&name](Granularity::Kind kind) {
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

// An empty selection means everything.
template <typename T>
bool SelectionsMeet(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || b.empty() ||
         std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) != a.end();
}

}  // namespace

Granularity GranularityFromJson(const Json& entry) {
  Granularity granularity;
  if (entry.is_string()) {
    granularity.kind = KindFromName(entry.get<std::string>());
    return granularity;
  }
  granularity.kind = KindFromName(entry.begin().key());
  if (granularity.kind == Granularity::Kind::kType) {
    granularity.types = TypesFromJson(entry.at("type"));
    if (granularity.types.size() == kTypes.size()) {
      granularity.types.clear();  // all of them, as the plain name says
    }
    granularity.per_block = entry.at("per") == "block";
    if (entry.contains("ber")) {
      granularity.ber = BerFromJson(entry.at("ber"));
    }
    return granularity;
  }
  const Json& selection = entry.begin().value();
  if (selection.contains("blocks")) {
    granularity.blocks = selection.at("blocks").get<std::vector<int>>();
    std::sort(granularity.blocks.begin(), granularity.blocks.end());
  }
  if (selection.contains("types")) {
    granularity.types = TypesFromJson(selection.at("types"));
  }
  if (selection.contains("ber")) {
    granularity.ber = BerFromJson(selection.at("ber"));
  }
  return granularity;
}

Json ToJson(const Granularity& granularity) {
  const std::string name(granularity.Name());
  if (granularity.blocks.empty() && granularity.types.empty() && !granularity.per_block &&
      granularity.ber.empty()) {
    return name;
  }
  if (granularity.kind == Granularity::Kind::kType) {
    const Json types =
        granularity.types.empty() ? TypesToJson(kTypes) : TypesToJson(granularity.types);
    Json entry = {{"type", types}, {"per", granularity.per_block ? "block" : "model"}};
    if (!granularity.ber.empty()) {
      entry["ber"] = granularity.ber;
    }
    return entry;
  }
  Json selection = Json::object();
  if (!granularity.blocks.empty()) {
    selection["blocks"] = granularity.blocks;
  }
  if (!granularity.types.empty()) {
    selection["types"] = TypesToJson(granularity.types);
  }
  if (!granularity.ber.empty()) {
    selection["ber"] = granularity.ber;
  }
  Json entry = Json::object();
  entry[name] = std::move(selection);
  return entry;
}

bool Overlap(const Granularity& a, const Granularity& b) {
  if (a.kind != b.kind || a.per_block != b.per_block || !SelectionsMeet(a.blocks, b.blocks)) {
    return false;
  }
  if (a.kind == Granularity::Kind::kHead && a.types.empty() != b.types.empty()) {
    return false;  // whole heads beside their types apart
  }
  return SelectionsMeet(a.types, b.types);
}

}  // namespace bitquake
