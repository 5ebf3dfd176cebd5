#include "common/report/figure_table.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/report/csv.h"
#include "common/report/results.h"

namespace bitquake {

std::string ToText(const Figure& figure) {
  if (const auto* text = std::get_if<std::string>(&figure)) {
    return *text;
  }
  if (const auto* integer = std::get_if<int64_t>(&figure)) {
    return absl::StrCat(*integer);
  }
  return FormatNumber(std::get<double>(figure));
}

nlohmann::ordered_json ToJsonValue(const Figure& figure) {
  if (const auto* number = std::get_if<double>(&figure)) {
    if (std::isnan(*number)) {
      return nullptr;
    }
    if (std::isinf(*number)) {
      return FormatNumber(*number);
    }
  }
  return std::visit([](const auto& value) { return nlohmann::ordered_json(value); }, figure);
}

std::string ToCsv(const FigureTable& table) {
  std::string csv;
  AppendCsvRow(table.columns, &csv);
  std::vector<std::string> fields;
  for (const std::vector<Figure>& row : table.rows) {
    fields.clear();
    for (const Figure& figure : row) {
      fields.push_back(ToText(figure));
    }
    AppendCsvRow(fields, &csv);
  }
  return csv;
}

std::string ToJson(const FigureTable& table) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::vector<Figure>& figures : table.rows) {
    nlohmann::ordered_json row = nlohmann::ordered_json::object();
    for (size_t i = 0; i < figures.size(); ++i) {
      row[table.columns[i]] = ToJsonValue(figures[i]);
    }
    rows.push_back(std::move(row));
  }
  return rows.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace bitquake
