// Text and tables as HTML. Names in a campaign come from others: a page must show them, and do
// nothing that they say.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/report/figure_table.h"

namespace bitquake {

// As content of an element, or of an attribute in quotes. What is not UTF-8 becomes U+FFFD, as do
// control characters.
std::string EscapeHtml(absl::string_view text);

// JSON that can stand within a <script> element: no '<' is left in it.
std::string EscapeJsonForScript(absl::string_view json);

// A column of a table for people.
struct HtmlColumn {
  std::string name;     // in the FigureTable
  std::string heading;  // for people
};

// A figure for people: four significant digits, "-" for what is undefined.
std::string Readable(const Figure& figure);

// A table of these columns, whose rows are `rows` of the figures: the first `most` of them. Below
// it stands how many were left out, and `where` all are. `name` goes into data-table.
std::string HtmlTable(const FigureTable& figures, const std::vector<HtmlColumn>& columns,
                      const std::vector<size_t>& rows, absl::string_view name, size_t most,
                      absl::string_view where);

}  // namespace bitquake
