#include "common/model/json_fields.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake::json_fields {
namespace {

constexpr int kMaxSide = 1 << 20;

}  // namespace

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", field, ": ", what));
}

// Values of an untrusted file, for errors.
std::string Shown(const Json& value) {
  constexpr size_t kLongest = 80;
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

bool IsSide(const Json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() >= 1 &&
         value.get<uint64_t>() <= kMaxSide;
}

// A field that is absent or null stays empty.
const Json* Present(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::Status ReadSide(const Json& object, const char* field, std::optional<int>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (value->is_array() && value->size() == 2 && (*value)[0] == (*value)[1]) {  // [224, 224]
    value = &(*value)[0];
  }
  if (!IsSide(*value)) {
    return Invalid(field, absl::StrCat(Shown(*value),
                                       " is no positive whole number (only square "
                                       "images and patches are supported)"));
  }
  out = value->get<int>();
  return absl::OkStatus();
}

absl::Status ReadSides(const Json& object, const char* field, std::vector<int>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  const Json list = value->is_array() ? *value : Json::array({*value});
  constexpr size_t kMostStages = 64;
  if (list.empty() || list.size() > kMostStages || !std::all_of(list.begin(), list.end(), IsSide)) {
    return Invalid(
        field, absl::StrCat(Shown(*value), " should be a positive whole number for each stage"));
  }
  out = list.get<std::vector<int>>();
  return absl::OkStatus();
}

absl::Status ReadNumber(const Json& object, const char* field, double low, double high,
                        std::optional<double>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_number() || !(value->get<double>() > low && value->get<double>() <= high)) {
    return Invalid(field,
                   absl::StrCat(Shown(*value), " is no number above ", low, " and up to ", high));
  }
  out = value->get<double>();
  return absl::OkStatus();
}

absl::Status ReadFlag(const Json& object, const char* field, std::optional<bool>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_boolean()) {
    return Invalid(field, absl::StrCat(Shown(*value), " is neither true nor false"));
  }
  out = value->get<bool>();
  return absl::OkStatus();
}

absl::Status ReadChoice(const Json& object, const char* field,
                        const std::vector<std::string>& choices, std::string& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  if (!value->is_string() ||
      std::find(choices.begin(), choices.end(), value->get<std::string>()) == choices.end()) {
    return Invalid(field, absl::StrCat(Shown(*value), " is not supported; supported: ",
                                       choices.front(), choices.size() > 1 ? ", " : "",
                                       choices.size() > 1 ? choices.back() : ""));
  }
  out = value->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadChannels(const Json& object, const char* field, double low, double high,
                          std::array<double, 3>& out) {
  const Json* value = Present(object, field);
  if (value == nullptr) {
    return absl::OkStatus();
  }
  const auto good = [&](const Json& item) {
    return item.is_number() && item.get<double>() >= low && item.get<double>() <= high;
  };
  if (!value->is_array() || value->size() != 3 ||
      !std::all_of(value->begin(), value->end(), good)) {
    return Invalid(field, absl::StrCat(Shown(*value), " should be three numbers in [", low, ", ",
                                       high, "], one for each channel"));
  }
  out = value->get<std::array<double, 3>>();
  return absl::OkStatus();
}

}  // namespace bitquake::json_fields
