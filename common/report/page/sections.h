// The page's figures in their order: what each shows, which rows it stands on, and what to say when
// a campaign has none.
#pragma once

#include <string>
#include <vector>

#include "common/report/page/figures.h"
#include "common/report/page/html.h"

namespace bitquake {

struct Section {
  std::string id;  // "accuracy"; the script draws by it
  std::string title;
  std::string caption;  // how to read it
  std::string table;    // the name of the table behind it
  std::vector<HtmlColumn> columns;
  std::string file;  // where all rows are, with every digit
  std::vector<size_t> rows;
  std::string absent;  // why there is no figure; empty if there is one
};

std::vector<Section> Sections(const std::vector<NamedTable>& tables);

}  // namespace bitquake
