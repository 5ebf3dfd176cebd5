// A table as compact JSON for a page's script: column by column, each figure as the text that its
// CSV file has, so that what a page shows is what the file says.
//
//   {"rows": 3, "columns": {"model": {"of": ["vit"]}, "target": {"of": ["q", "k"], "at": "0,1,1"},
//                           "ber": "1e-06,1e-05,0.0001"}}
//
// A column is its numbers with commas between them, or a list of different values with an index
// into it for each row; with one value and no indices, all rows have that one.
#pragma once

#include <string>
#include <vector>

#include "common/report/figure_table.h"

namespace bitquake {

// Of the rows with these indices.
std::string ColumnsJson(const FigureTable& table, const std::vector<size_t>& rows);
// Of all rows.
std::string ColumnsJson(const FigureTable& table);

}  // namespace bitquake
