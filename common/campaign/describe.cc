#include "common/campaign/describe.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace bitquake {
namespace {

struct SchemaOf {
  Json operator()(const TextType& type) const {
    return {{"type", "string"},
            {"minLength", 1},
            {"maxLength", type.max_characters},
            {"pattern", type.json_pattern}};
  }
  Json operator()(const IntegerType& type) const {
    return {{"type", "integer"}, {"minimum", type.min}, {"maximum", type.max}};
  }
  Json operator()(const NumberType& type) const {
    return {{"type", "number"},
            {type.min_allowed ? "minimum" : "exclusiveMinimum", type.min},
            {"maximum", type.max}};
  }
  Json operator()(const EnumType& type) const { return {{"enum", type.values}}; }
  Json operator()(const ListType& type) const {
    return {{"type", "array"},
            {"items", ToJsonSchema(type.item.front())},
            {"minItems", 1},
            {"maxItems", type.max_items},
            {"uniqueItems", type.distinct}};
  }
  Json operator()(const MapType& type) const {
    Json properties = Json::object();
    Json required = Json::array();
    for (const Field& field : type.fields) {
      Json property = ToJsonSchema(field.type);
      property["description"] = field.doc;
      if (!field.default_value.is_null()) {
        property["default"] = field.default_value;
      }
      properties[field.name] = std::move(property);
      if (field.required) {
        required.push_back(field.name);
      }
    }
    return {{"type", "object"},
            {"properties", std::move(properties)},
            {"required", std::move(required)},
            {"additionalProperties", false}};
  }
  Json operator()(const OneOfType& type) const {
    Json alternatives = Json::array();
    for (const FieldType& alternative : type.alternatives) {
      alternatives.push_back(ToJsonSchema(alternative));
    }
    return {{"anyOf", std::move(alternatives)}};
  }
};

struct ExpectationOf {
  std::string operator()(const TextType& type) const { return type.noun; }
  std::string operator()(const IntegerType&) const { return "an integer"; }
  std::string operator()(const NumberType&) const { return "a number"; }
  std::string operator()(const EnumType& type) const {
    constexpr size_t kFew = 6;
    return type.values.size() <= kFew ? AnyOf(type.values) : type.noun;
  }
  std::string operator()(const ListType& type) const { return type.noun; }
  std::string operator()(const MapType& type) const {
    return absl::StrCat("{", absl::StrJoin(type.fields, ", ", AppendName), "}");
  }
  std::string operator()(const OneOfType& type) const {
    std::vector<std::string> parts;
    for (const FieldType& alternative : type.alternatives) {
      const auto* words = std::get_if<EnumType>(&alternative.is);
      if (words != nullptr) {
        parts.insert(parts.end(), words->values.begin(), words->values.end());
      } else {
        parts.push_back(Expectation(alternative));
      }
    }
    return AnyOf(parts);
  }

  static void AppendName(std::string* out, const Field& field) { out->append(field.name); }

  static std::string AnyOf(std::vector<std::string> parts) {
    const std::string last = parts.back();
    parts.pop_back();
    return parts.empty() ? last : absl::StrCat(absl::StrJoin(parts, ", "), " or ", last);
  }
};

// The rows of the Markdown table.
class RowWriter {
 public:
  void AddFields(const MapType& type, const std::string& prefix) {
    for (const Field& field : type.fields) {
      AddField(field, prefix, field.required ? "required" : "");
    }
  }

  std::string Take() { return std::move(rows_); }

 private:
  void AddField(const Field& field, const std::string& prefix, std::string default_value) {
    if (!field.default_value.is_null()) {
      default_value = Code(field.default_value);
    }
    const std::string path = prefix + field.name;
    const std::string meaning = absl::StrCat("` | ", Values(field.type), " | ", default_value,
                                             " | ", Meaning(field), " |\n");
    // What several alternatives have, or a list's item that may also stand alone, is told once.
    if (told_.insert(absl::StrReplaceAll(path, {{"[]", ""}}) + meaning).second) {
      absl::StrAppend(&rows_, "| `", path, meaning);
    }
    AddNested(field.type, path);
  }

  void AddNested(const FieldType& type, const std::string& path) {
    if (const auto* map = std::get_if<MapType>(&type.is)) {
      AddFields(*map, path + ".");
    } else if (const auto* list = std::get_if<ListType>(&type.is)) {
      AddNested(list->item.front(), path + "[]");
    } else if (const auto* choice = std::get_if<OneOfType>(&type.is)) {
      for (const FieldType& alternative : choice->alternatives) {
        AddNested(alternative, path);
      }
    }
  }

  static std::string Code(const Json& value) {
    return absl::StrCat("`", value.is_string() ? value.get<std::string>() : value.dump(), "`");
  }

  static std::string Values(const FieldType& type) {
    if (const auto* integer = std::get_if<IntegerType>(&type.is)) {
      return absl::StrCat("an integer, ", integer->min, " to ", integer->max);
    }
    if (const auto* number = std::get_if<NumberType>(&type.is)) {
      return absl::StrCat("a number, ", number->min_allowed ? "" : "above ", number->min, " to ",
                          number->max);
    }
    if (const auto* list = std::get_if<ListType>(&type.is)) {
      return absl::StrCat(list->noun, " (at most ", list->max_items, "), each ",
                          Expectation(list->item.front()));
    }
    return Expectation(type);
  }

  static std::string Meaning(const Field& field) {
    std::string meaning = field.doc;
    if (const auto* choice = std::get_if<OneOfType>(&field.type.is)) {
      for (const FieldType& alternative : choice->alternatives) {
        if (!alternative.doc.empty()) {
          absl::StrAppend(&meaning, " ", alternative.doc);
        }
      }
    }
    return meaning;
  }

  std::string rows_;
  std::set<std::string> told_;
};

}  // namespace

std::string Expectation(const FieldType& type) { return std::visit(ExpectationOf{}, type.is); }

Json ToJsonSchema(const FieldType& type) {
  Json schema = std::visit(SchemaOf{}, type.is);
  if (!type.doc.empty()) {
    schema["description"] = type.doc;
  }
  return schema;
}

std::string ToMarkdownTable(const MapType& type) {
  RowWriter rows;
  rows.AddFields(type, "");
  return absl::StrCat("| field | value | default | meaning |\n|---|---|---|---|\n", rows.Take());
}

}  // namespace bitquake
