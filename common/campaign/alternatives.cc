#include "common/campaign/alternatives.h"

#include <algorithm>

namespace bitquake {
namespace {

bool IsNumeric(const Node& node) {
  return node.kind == Node::Kind::kInteger || node.kind == Node::Kind::kNumber;
}

}  // namespace

bool KindFits(const Node& node, const FieldType& type) {
  struct Visitor {
    const Node& node;
    bool operator()(const TextType&) const { return node.kind == Node::Kind::kText; }
    bool operator()(const EnumType&) const { return node.kind == Node::Kind::kText; }
    bool operator()(const IntegerType&) const { return IsNumeric(node); }
    bool operator()(const NumberType&) const { return IsNumeric(node); }
    bool operator()(const ListType&) const { return node.kind == Node::Kind::kList; }
    bool operator()(const MapType&) const { return node.kind == Node::Kind::kMap; }
    bool operator()(const OneOfType& t) const {
      return std::any_of(t.alternatives.begin(), t.alternatives.end(),
                         [this](const FieldType& a) { return KindFits(node, a); });
    }
  };
  return std::visit(Visitor{node}, type.is);
}

const std::vector<Field>& FieldsOf(const FieldType& map) {
  return std::get<MapType>(map.is).fields;
}

std::vector<std::string> FieldNames(const FieldType& map) {
  std::vector<std::string> names;
  for (const Field& field : FieldsOf(map)) {
    names.push_back(field.name);
  }
  return names;
}

bool HasField(const FieldType& map, const std::string& name) {
  const std::vector<Field>& fields = FieldsOf(map);
  return std::any_of(fields.begin(), fields.end(),
                     [&name](const Field& field) { return field.name == name; });
}

std::optional<std::string> BareFirstField(const Node& node, const FieldType& fitting,
                                          const OneOfType& type) {
  const auto* words = std::get_if<EnumType>(&fitting.is);
  if (words == nullptr || std::count(words->values.begin(), words->values.end(), node.text) > 0) {
    return std::nullopt;
  }
  for (const FieldType& alternative : type.alternatives) {
    if (std::holds_alternative<MapType>(alternative.is) &&
        FieldsOf(alternative).front().name == node.text) {
      return node.text;
    }
  }
  return std::nullopt;
}

}  // namespace bitquake
