// A results file as columns and rows, before it is written as CSV or JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

namespace bitquake {

// NaN stands for what is undefined; infinities are values (a threshold that was not reached).
using Figure = std::variant<std::string, int64_t, double>;

struct FigureTable {
  std::vector<std::string> columns;
  std::vector<std::vector<Figure>> rows;  // each with a figure for each column
};

// As FormatNumber writes numbers: NaN is empty, infinities are "inf" and "-inf".
std::string ToText(const Figure& figure);
// NaN is null; infinities, which JSON lacks, are the strings "inf" and "-inf".
nlohmann::ordered_json ToJsonValue(const Figure& figure);

// A line of the columns' names, then one for each row.
std::string ToCsv(const FigureTable& table);
// An array with an object for each row, its members in the order of the columns.
std::string ToJson(const FigureTable& table);

}  // namespace bitquake
