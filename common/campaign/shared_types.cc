#include "common/campaign/shared_types.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/pattern.h"
#include "common/campaign/ber_grid.h"
#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

constexpr uint64_t kMaxPerDecade = 1000;
constexpr uint64_t kMaxWordBits = 32;
constexpr size_t kMaxPatternCharacters = 1000;

std::optional<Complaint> CheckPattern(const Json& text) {
  const absl::StatusOr<Pattern> pattern = Pattern::Compile(text.get<std::string>());
  if (pattern.ok()) {
    return std::nullopt;
  }
  return Complaint{"", std::string(pattern.status().message())};
}

}  // namespace

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

Field PerDecadeField(Json default_value) {
  const bool required = default_value.is_null();
  return {"per_decade",
          {IntegerType{1, kMaxPerDecade}},
          "Rates a decade: from * 10^(k / per_decade), k = 0, 1, ..., rounded to 9 "
          "significant digits; `to` is always the last.",
          required,
          std::move(default_value)};
}

FieldType BerType() {
  const NumberType rate{0, true, 1};
  const NumberType positive_rate{0, false, 1};
  MapType grid;
  grid.fields = {{"from", {positive_rate}, "The lowest rate.", true},
                 {"to", {positive_rate}, "The highest rate.", true},
                 PerDecadeField()};
  return {OneOfType{{{rate},
                     {ListType{"a list of rates", {{rate}}, kMaxBitErrorRates, false}},
                     {std::move(grid), "", CheckGrid}}}};
}

FieldType PositionsType() {
  return {ListType{
      "a list of bit positions", {{IntegerType{0, kMaxWordBits - 1}}}, kMaxWordBits, true}};
}

FieldType PatternType() {
  FieldType pattern = PlainTextType("a regular expression", kMaxPatternCharacters);
  pattern.check = CheckPattern;
  return pattern;
}

FieldType PlainTextType(std::string noun, size_t max_characters) {
  const auto problem = [](absl::string_view text) -> std::string {
    if (text.empty()) {
      return "is empty";
    }
    return HasControlCharacter(text) ? "holds a control character" : "";
  };
  return {
      TextType{std::move(noun), max_characters, problem, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"}};
}

FieldType IdentifierType(std::string noun) {
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
  return {TextType{std::move(noun), 64, problem, "^[A-Za-z0-9_][A-Za-z0-9._-]*$"}};
}

}  // namespace bitquake
