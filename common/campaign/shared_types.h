// Types of values that several fields of the campaign file take.
#pragma once

#include <optional>
#include <string>

#include "common/campaign/field_type.h"

namespace bitquake {

// Limits on what a file's lists may expand to.
inline constexpr size_t kMaxBitErrorRates = 10'000;

// A rate, a list of rates, or a grid.
FieldType BerType();

// Of a grid of rates, whose fields are `from`, `to` and this one. Required, if there is no default.
Field PerDecadeField(Json default_value = nullptr);
// What is wrong with such a grid.
std::optional<Complaint> CheckGrid(const Json& grid);

// Bit positions of a word: a list of numbers from 0.
FieldType PositionsType();

// A regular expression (RE2), not empty.
FieldType PatternType();

// Text without control characters: `noun` says what of.
FieldType PlainTextType(std::string noun, size_t max_characters);

// Letters, digits, '.', '_' and '-': what may be a folder's name or a value in a table.
FieldType IdentifierType(std::string noun);

}  // namespace bitquake
