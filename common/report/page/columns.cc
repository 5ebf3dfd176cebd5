#include "common/report/page/columns.h"

#include <numeric>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bitquake {
namespace {

std::string QuotedJson(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/false,
                                   nlohmann::json::error_handler_t::replace);
}

std::string ColumnJson(const FigureTable& table, size_t column, const std::vector<size_t>& rows) {
  std::vector<std::string> texts;
  std::vector<size_t> indices;
  std::vector<std::string> different;
  std::unordered_map<std::string, size_t> known;
  bool numbers = true;
  for (const size_t row : rows) {
    const Figure& figure = table.rows[row][column];
    numbers = numbers && !std::holds_alternative<std::string>(figure);
    texts.push_back(ToText(figure));
    const auto [at, is_new] = known.emplace(texts.back(), different.size());
    if (is_new) {
      different.push_back(texts.back());
    }
    indices.push_back(at->second);
  }
  const std::string list = absl::StrJoin(different, ",", [](std::string* out, const auto& text) {
    absl::StrAppend(out, QuotedJson(text));
  });
  if (different.size() == 1) {
    return absl::StrCat("{\"of\":[", list, "]}");
  }
  const std::string indexed =
      absl::StrCat("{\"of\":[", list, "],\"at\":\"", absl::StrJoin(indices, ","), "\"}");
  const std::string plain = absl::StrCat("\"", absl::StrJoin(texts, ","), "\"");
  return numbers && plain.size() <= indexed.size() ? plain : indexed;
}

}  // namespace

std::string ColumnsJson(const FigureTable& table, const std::vector<size_t>& rows) {
  std::string json = absl::StrCat("{\"rows\":", rows.size(), ",\"columns\":{");
  for (size_t column = 0; column < table.columns.size(); ++column) {
    absl::StrAppend(&json, column > 0 ? "," : "", QuotedJson(table.columns[column]), ":",
                    rows.empty() ? "\"\"" : ColumnJson(table, column, rows));
  }
  return json + "}}";
}

std::string ColumnsJson(const FigureTable& table) {
  std::vector<size_t> all(table.rows.size());
  std::iota(all.begin(), all.end(), 0);
  return ColumnsJson(table, all);
}

}  // namespace bitquake
