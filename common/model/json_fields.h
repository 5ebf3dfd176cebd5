// Reads typed fields of an untrusted JSON object. Within common/model only (it shows the JSON
// library). A field that is absent or null leaves `out` as it is; one of another type or out of
// range is InvalidArgument, the field and the value named.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bitquake::json_fields {

using Json = nlohmann::json;

absl::Status Invalid(absl::string_view field, absl::string_view what);

// A value as errors show it: one line, not endless.
std::string Shown(const Json& value);

// Null if the field is absent or null.
const Json* Present(const Json& object, const char* field);

// A count, in 1..2^20.
bool IsSide(const Json& value);
// Also [n, n].
absl::Status ReadSide(const Json& object, const char* field, std::optional<int>& out);
// One or several, one for each stage.
absl::Status ReadSides(const Json& object, const char* field, std::vector<int>& out);
// In (low, high].
absl::Status ReadNumber(const Json& object, const char* field, double low, double high,
                        std::optional<double>& out);
absl::Status ReadFlag(const Json& object, const char* field, std::optional<bool>& out);
absl::Status ReadChoice(const Json& object, const char* field,
                        const std::vector<std::string>& choices, std::string& out);
// One number in [low, high] for each of three channels.
absl::Status ReadChannels(const Json& object, const char* field, double low, double high,
                          std::array<double, 3>& out);

}  // namespace bitquake::json_fields
