// The vocabulary in which schema.cc describes the campaign file: what a value may be. Validation
// (validate.h) and documentation (describe.h) read the same description, so they cannot disagree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/campaign/document.h"

namespace bitquake {

struct FieldType;

// Text. `noun` says what of: "a model name".
struct TextType {
  std::string noun;
  size_t max_characters = 0;
  // The rule in both its forms: for the validator (empty if the text is right, else what is wrong
  // with it), and as an ECMAScript pattern for JSON Schema.
  std::function<std::string(absl::string_view)> problem;
  std::string json_pattern;
};

// A whole number, bounds included. 1e3 is one.
struct IntegerType {
  uint64_t min = 0;
  uint64_t max = 0;
};

// A finite number.
struct NumberType {
  double min = 0;
  bool min_allowed = true;  // false: it must be above `min`
  double max = 0;
};

// One of a few words. `noun` says what they name: "a number format".
struct EnumType {
  std::string noun;
  std::vector<std::string> values;
};

// `noun` says what it is: "a list of model names".
struct ListType {
  std::string noun;
  std::vector<FieldType>
      item;               // exactly one, held in a vector since FieldType is not complete here
  size_t max_items = 0;   // at least one is always needed
  bool distinct = false;  // no two items may be equal
};

struct Field;

struct MapType {
  std::vector<Field> fields;
};

// Told apart by the kind of the value, and maps from each other by their first field, which is
// required; maps of the same first field by its value, each having some of the words of an
// EnumType.
struct OneOfType {
  std::vector<FieldType> alternatives;
};

// What is wrong with a value that is well-formed in all its parts.
struct Complaint {
  std::string part;  // by fields of maps and indices of lists, "granularities.1"; empty: the whole
  std::string message;
};

struct FieldType {
  std::variant<TextType, IntegerType, NumberType, EnumType, ListType, MapType, OneOfType> is;
  std::string doc = {};  // of an alternative: what choosing it means
  // A rule that spans parts; sees the checked value with its defaults. JSON Schema cannot state it.
  std::function<std::optional<Complaint>(const Json&)> check = nullptr;
};

struct Field {
  std::string name;
  FieldType type;
  std::string doc;
  bool required = false;
  Json default_value = nullptr;  // taken when the field is missing; null: the field stays missing
  // A default that depends on the fields before this one, of which it sees those that are right;
  // `default_value` then only documents the usual case.
  std::function<Json(const Json&)> default_for = nullptr;
};

// What an error says was expected: "an integer", "all, spread, {spread} or {first}".
std::string Expectation(const FieldType& type);

}  // namespace bitquake
