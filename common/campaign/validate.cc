#include "common/campaign/validate.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/shown.h"
#include "common/base/suggest.h"
#include "common/campaign/alternatives.h"
#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

std::string Found(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kBool:
      return absl::StrCat("the truth value ", node.text);
    case Node::Kind::kInteger:
    case Node::Kind::kNumber:
      return absl::StrCat("the number ", Shown(node.text));
    case Node::Kind::kText:
      return absl::StrCat("text '", Shown(node.text), "'");
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
  }
  return "";
}

std::string FirstSentence(const std::string& doc) {
  return doc.substr(0, std::min(doc.find(". "), doc.size() - 1));
}

bool IsScalar(const Node& node) {
  return node.kind != Node::Kind::kList && node.kind != Node::Kind::kMap;
}

class Validator {
 public:
  explicit Validator(Problems* problems) : problems_(problems) {}

  std::optional<Json> Check(const Node& node, const FieldType& type, const std::string& path) {
    if (!KindFits(node, type)) {
      ReportKind(node, type, path);
      return std::nullopt;
    }
    std::optional<Json> value =
        std::visit([&](const auto& is) { return CheckAs(node, is, path); }, type.is);
    if (value && type.check) {
      if (const std::optional<Complaint> complaint = type.check(*value)) {
        Complain(node, path, *complaint);
        return std::nullopt;
      }
    }
    return value;
  }

 private:
  // Adds "path: message"; a value at the top has no path.
  std::nullopt_t Report(const Node& node, const std::string& path, absl::string_view message) {
    problems_->Add(node.at,
                   path.empty() ? std::string(message) : absl::StrCat(path, ": ", message));
    return std::nullopt;
  }

  void ReportKind(const Node& node, const FieldType& type, const std::string& path) {
    const auto* text = std::get_if<TextType>(&type.is);
    const bool quoting_helps = text != nullptr && IsScalar(node) &&
                               node.kind != Node::Kind::kNull && text->problem(node.text).empty() &&
                               (!type.check || !type.check(node.text));
    Report(node, path,
           absl::StrCat("expected ", path.empty() ? "a campaign, a map with the fields " : "",
                        Expectation(type), ", found ", Found(node),
                        quoting_helps ? "; put it in quotes" : ""));
  }

  void Complain(const Node& node, const std::string& path, const Complaint& complaint) {
    const Node* at = &node;
    std::string place = path;
    for (const absl::string_view step : absl::StrSplit(complaint.part, '.', absl::SkipEmpty())) {
      size_t index;
      if (at->kind == Node::Kind::kList && absl::SimpleAtoi(step, &index)) {
        at = &at->items[index];
        absl::StrAppend(&place, "[", index, "]");
        continue;
      }
      place = Join(place, step);
      if (const Node* part = at->Find(step)) {
        at = part;
      }
    }
    Report(*at, place, complaint.message);
  }

  static std::string Join(const std::string& path, absl::string_view field) {
    return absl::StrCat(path, path.empty() ? "" : ".", field);
  }

  std::optional<Json> CheckAs(const Node& node, const TextType& type, const std::string& path) {
    if (const size_t characters = CharacterCount(node.text); characters > type.max_characters) {
      return Report(node, path,
                    absl::StrCat("has ", characters, " characters; at most ", type.max_characters,
                                 " are allowed"));
    }
    if (const std::string problem = type.problem(node.text); !problem.empty()) {
      return Report(node, path, absl::StrCat("'", Shown(node.text), "' ", problem));
    }
    return node.value;
  }

  std::optional<Json> CheckAs(const Node& node, const EnumType& type, const std::string& path) {
    if (std::count(type.values.begin(), type.values.end(), node.text) > 0) {
      return node.value;
    }
    std::string hint = DidYouMean(node.text, type.values);
    if (hint.empty() && Expectation({type}) != type.noun) {
      hint = absl::StrCat("; expected ", Expectation({type}));
    }
    return Report(node, path, absl::StrCat("'", Shown(node.text), "' is not ", type.noun, hint));
  }

  std::optional<Json> CheckAs(const Node& node, const IntegerType& type, const std::string& path) {
    if (node.kind == Node::Kind::kNumber) {
      return Report(node, path, absl::StrCat("expected an integer, found ", Found(node)));
    }
    const double magnitude = node.value.get<double>();
    const bool below =
        magnitude < 0 || (node.value.is_number_unsigned() && node.value.get<uint64_t>() < type.min);
    const bool above = node.value.is_number_unsigned() ? node.value.get<uint64_t>() > type.max
                                                       : magnitude > 0;  // beyond 64 bits
    return InRange(node, path, below, above, absl::StrCat(type.min), absl::StrCat(type.max));
  }

  std::optional<Json> CheckAs(const Node& node, const NumberType& type, const std::string& path) {
    if (node.value.is_null()) {
      return Report(node, path, absl::StrCat("expected a finite number, found ", Shown(node.text)));
    }
    const double value = node.value.get<double>();
    if (!type.min_allowed && value <= type.min) {
      return Report(node, path,
                    absl::StrCat(Shown(node.text), " is too small; it must be above ", type.min));
    }
    return InRange(node, path, value<type.min, value> type.max, absl::StrCat(type.min),
                   absl::StrCat(type.max));
  }

  std::optional<Json> InRange(const Node& node, const std::string& path, bool below, bool above,
                              absl::string_view min, absl::string_view max) {
    if (below) {
      return Report(node, path,
                    absl::StrCat(Shown(node.text), " is below the smallest allowed, ", min));
    }
    if (above) {
      return Report(node, path,
                    absl::StrCat(Shown(node.text), " is above the largest allowed, ", max));
    }
    return node.value;
  }

  std::optional<Json> CheckAs(const Node& node, const ListType& type, const std::string& path) {
    if (node.items.empty()) {
      return Report(node, path, absl::StrCat("is empty; expected ", type.noun));
    }
    if (node.items.size() > type.max_items) {
      return Report(node, path,
                    absl::StrCat("has ", node.items.size(), " items; at most ", type.max_items,
                                 " are allowed"));
    }
    Json list = Json::array();
    std::unordered_map<std::string, size_t> first_with;
    bool ok = true;
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string item_path = absl::StrCat(path, "[", i, "]");
      std::optional<Json> item = Check(node.items[i], type.item.front(), item_path);
      if (!item) {
        ok = false;
        continue;
      }
      if (const auto [twin, fresh] = first_with.emplace(item->dump(), i); type.distinct && !fresh) {
        Report(node.items[i], item_path,
               absl::StrCat("repeats item ", twin->second, "; leave it out"));
        ok = false;
      }
      list.push_back(*std::move(item));
    }
    return ok ? std::optional<Json>(std::move(list)) : std::nullopt;
  }

  std::optional<Json> CheckAs(const Node& node, const MapType& type, const std::string& path) {
    bool ok = ReportUnknown(node, type, path);
    Json map = Json::object();
    for (const Field& field : type.fields) {
      if (const Node* member = node.Find(field.name)) {
        if (std::optional<Json> value = Check(*member, field.type, Join(path, field.name))) {
          map[field.name] = *std::move(value);
        } else {
          ok = false;
        }
      } else if (field.required) {
        ReportMissing(node, field, path);
        ok = false;
      } else {
        Json value = field.default_for ? field.default_for(map) : field.default_value;
        if (!value.is_null()) {
          map[field.name] = std::move(value);
        }
      }
    }
    return ok ? std::optional<Json>(std::move(map)) : std::nullopt;
  }

  void ReportMissing(const Node& node, const Field& field, const std::string& path) {
    Report(node, path,
           absl::StrCat("missing field '", field.name, "': ", FirstSentence(field.doc)));
  }

  bool ReportUnknown(const Node& node, const MapType& type, const std::string& path) {
    const std::vector<std::string> names = FieldNames({type});
    bool ok = true;
    for (const Member& member : node.members) {
      if (std::count(names.begin(), names.end(), member.key) == 0) {
        ReportUnknownField(member, names, path);
        ok = false;
      }
    }
    return ok;
  }

  void ReportUnknownField(const Member& member, const std::vector<std::string>& names,
                          const std::string& path) {
    std::string hint;
    if (!problems_->full()) {
      hint = DidYouMean(member.key, names);
    }
    if (hint.empty()) {
      hint = absl::StrCat("; the fields are ", absl::StrJoin(names, ", "));
    }
    problems_->Add(member.at, absl::StrCat(path, path.empty() ? "" : ": ", "unknown field '",
                                           Shown(member.key), "'", hint));
  }

  std::optional<Json> CheckAs(const Node& node, const OneOfType& type, const std::string& path) {
    std::vector<const FieldType*> fitting;
    for (const FieldType& alternative : type.alternatives) {
      if (KindFits(node, alternative)) {
        fitting.push_back(&alternative);
      }
    }
    if (fitting.size() == 1) {
      if (const std::optional<std::string> name = BareFirstField(node, *fitting.front(), type)) {
        return Report(node, path,
                      absl::StrCat("'", *name, "' needs a value; give {", *name, ": ...}"));
      }
      return Check(node, *fitting.front(), path);
    }
    return CheckByFirstField(node, fitting, type, path);
  }

  // Chooses among several maps the one whose first field is there.
  std::optional<Json> CheckByFirstField(const Node& node, const std::vector<const FieldType*>& maps,
                                        const OneOfType& type, const std::string& path) {
    std::vector<std::string> first_fields;
    std::vector<std::string> given;
    std::vector<const FieldType*> chosen;
    for (const FieldType* map : maps) {
      const std::string& name = FieldsOf(*map).front().name;
      const bool is_new = std::count(first_fields.begin(), first_fields.end(), name) == 0;
      if (is_new) {
        first_fields.push_back(name);
      }
      if (node.Find(name) != nullptr) {
        chosen.push_back(map);
        if (is_new) {
          given.push_back(name);
        }
      }
    }
    if (given.size() > 1) {
      return Report(
          node, path,
          absl::StrCat("'", absl::StrJoin(given, "' and '"), "' exclude each other; give one"));
    }
    if (!chosen.empty()) {
      return chosen.size() == 1 ? Check(node, *chosen.front(), path)
                                : CheckByFirstValue(node, chosen, path);
    }
    if (node.members.empty()) {
      return Report(node, path, absl::StrCat("is empty; expected ", Expectation({type})));
    }
    ReportNoFirstField(node, maps, first_fields, path);
    return std::nullopt;
  }

  // The members are of a map whose first field is missing, or of none.
  void ReportNoFirstField(const Node& node, const std::vector<const FieldType*>& maps,
                          const std::vector<std::string>& first_fields, const std::string& path) {
    bool told = false;
    for (const Member& member : node.members) {
      const auto owner = std::find_if(maps.begin(), maps.end(), [&](const FieldType* map) {
        return HasField(*map, member.key);
      });
      if (owner == maps.end()) {
        ReportUnknownField(member, first_fields, path);
      } else if (!std::exchange(told, true)) {
        ReportMissing(node, FieldsOf(**owner).front(), path);
      }
    }
  }

  // Chooses among maps of the same first field the one that knows its value.
  std::optional<Json> CheckByFirstValue(const Node& node, const std::vector<const FieldType*>& maps,
                                        const std::string& path) {
    const std::string& name = FieldsOf(*maps.front()).front().name;
    const Node& first = *node.Find(name);
    EnumType words{std::get<EnumType>(FieldsOf(*maps.front()).front().type.is).noun, {}};
    const FieldType* chosen = nullptr;
    for (const FieldType* map : maps) {
      for (const std::string& word : std::get<EnumType>(FieldsOf(*map).front().type.is).values) {
        words.values.push_back(word);
        if (first.kind == Node::Kind::kText && first.text == word) {
          chosen = map;
        }
      }
    }
    if (chosen == nullptr) {
      return Check(first, {std::move(words)}, Join(path, name));  // refuses it
    }
    // What belongs to another of the maps is not merely unknown.
    Node own = node;
    own.members.clear();
    for (const Member& member : node.members) {
      const bool foreign = !HasField(*chosen, member.key) &&
                           std::any_of(maps.begin(), maps.end(), [&](const FieldType* map) {
                             return HasField(*map, member.key);
                           });
      if (foreign) {
        problems_->Add(member.at, absl::StrCat(Join(path, member.key), ": does not apply to ", name,
                                               " '", first.text, "'; its fields are ",
                                               absl::StrJoin(FieldNames(*chosen), ", ")));
      } else {
        own.members.push_back(member);
      }
    }
    std::optional<Json> value = Check(own, *chosen, path);
    return own.members.size() == node.members.size() ? value : std::nullopt;
  }

  Problems* problems_;
};

}  // namespace

std::optional<Json> Validate(const Node& node, const FieldType& type, Problems* problems) {
  std::optional<Json> value = Validator(problems).Check(node, type, "");
  return problems->empty() ? value : std::nullopt;
}

}  // namespace bitquake
