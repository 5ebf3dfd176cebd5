#include "common/report/page/html.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/report/results.h"

namespace bitquake {
namespace {

// U+FFFD for what is not UTF-8.
std::string ValidUtf8(absl::string_view text) {
  const std::string quoted =
      nlohmann::json(std::string(text))
          .dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

size_t IndexOf(const FigureTable& figures, const std::string& column) {
  return std::find(figures.columns.begin(), figures.columns.end(), column) -
         figures.columns.begin();
}

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  std::string escaped;
  for (const char c : ValidUtf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default: {
        const bool control = (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == '\x7f';
        escaped += control ? std::string("\uFFFD") : std::string(1, c);
      }
    }
  }
  return escaped;
}

std::string EscapeJsonForScript(absl::string_view json) {
  return absl::StrReplaceAll(json, {{"<", "\\u003c"}});
}

std::string Readable(const Figure& figure) {
  const auto* number = std::get_if<double>(&figure);
  if (number == nullptr) {
    return ToText(figure);
  }
  return std::isnan(*number) ? "-" : absl::StrFormat("%.4g", *number);
}

std::string HtmlTable(const FigureTable& figures, const std::vector<HtmlColumn>& columns,
                      const std::vector<size_t>& rows, absl::string_view name, size_t most,
                      absl::string_view where) {
  std::string html =
      absl::StrCat("<div class=\"table\"><table data-table=\"", EscapeHtml(name), "\"><thead><tr>");
  std::vector<size_t> indices;
  for (const HtmlColumn& column : columns) {
    indices.push_back(IndexOf(figures, column.name));
    absl::StrAppend(&html, "<th scope=\"col\" data-column=\"", EscapeHtml(column.name), "\">",
                    EscapeHtml(column.heading), "</th>");
  }
  html += "</tr></thead><tbody>\n";
  const size_t shown = std::min(most, rows.size());
  for (size_t i = 0; i < shown; ++i) {
    html += "<tr>";
    for (const size_t index : indices) {
      const Figure& figure = figures.rows[rows[i]][index];
      const bool text = std::holds_alternative<std::string>(figure);
      absl::StrAppend(&html, text ? "<td>" : "<td class=\"number\">", EscapeHtml(Readable(figure)),
                      "</td>");
    }
    html += "</tr>\n";
  }
  absl::StrAppend(&html, "</tbody></table></div>\n<p class=\"note\">", shown, " of ", rows.size(),
                  " rows, rounded; all of them, with every digit, are in ", EscapeHtml(where),
                  ".</p>\n");
  return html;
}

}  // namespace bitquake
