// A made-up campaign gives the files that tests/report/reference.py computed from scratch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/report/results.h"

namespace bitquake {
namespace {

using Table = std::vector<std::vector<std::string>>;

std::string DataFile(const std::string& name) {
  const auto text = ReadFile(absl::StrCat(BITQUAKE_SOURCE_DIR, "/tests/data/report/", name));
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

std::vector<CellResult> MadeUpCampaign() {
  std::vector<CellResult> cells;
  for (const auto& json : nlohmann::json::parse(DataFile("campaign.json"))) {
    CellResult cell;
    cell.key = {json.at("campaign"),    json.at("model"),  json.at("format"), json.at("fault"),
                json.at("granularity"), json.at("target"), json.at("ber")};
    cell.bits = json.at("bits");
    cell.number = static_cast<int64_t>(cells.size());
    const auto& golden = json.at("golden");
    cell.golden = {cell.key.model, cell.key.format, golden.at("images"), golden.at("top1"),
                   golden.at("top5")};
    for (const auto& t : json.at("trials")) {
      cell.trials.push_back({t.at("trial"), t.at("images"), t.at("top1"), t.at("top5"),
                             t.at("golden_top1"), t.at("golden_top5"), t.at("sdc"), t.at("due"),
                             t.at("flips"), t.at("faults_digest")});
    }
    cells.push_back(std::move(cell));
  }
  return cells;
}

// RFC 4180, read anew so that a mistake in the writer cannot hide.
Table ReadCsv(const std::string& text) {
  Table table(1, {""});
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      table.back().back().push_back('"');
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      table.back().emplace_back();
    } else if (c == '\n' && !quoted) {
      table.push_back({""});
    } else {
      table.back().back().push_back(c);
    }
  }
  EXPECT_EQ(table.back(), std::vector<std::string>{""});  // the last line is ended too
  table.pop_back();
  return table;
}

// Figures agree to 1e-9 percentage points, or to 1e-9 of themselves; all else is the same text.
void ExpectSameFigures(const std::string& actual, const std::string& expected,
                       const std::set<std::string>& figures) {
  const Table a = ReadCsv(actual);
  const Table e = ReadCsv(expected);
  ASSERT_EQ(a.size(), e.size());
  ASSERT_GT(e.size(), 100u);
  EXPECT_EQ(a[0], e[0]);
  for (size_t row = 1; row < e.size(); ++row) {
    ASSERT_EQ(a[row].size(), e[0].size());
    for (size_t i = 0; i < e[row].size(); ++i) {
      if (figures.count(e[0][i]) == 0 || e[row][i].empty() || a[row][i].empty()) {
        EXPECT_EQ(a[row][i], e[row][i]) << e[0][i] << " in row " << row;
        continue;
      }
      const double want = std::strtod(e[row][i].c_str(), nullptr);
      EXPECT_NEAR(std::strtod(a[row][i].c_str(), nullptr), want,
                  1e-9 * std::max(1.0, std::fabs(want)))
          << e[0][i] << " in row " << row;
    }
  }
}

TEST(Reference, CellsAreThose) {
  ExpectSameFigures(
      CellsCsv(MadeUpCampaign()), DataFile("cells.csv"),
      {"ber", "golden_top1", "golden_top5", "top1_mean", "top1_std", "top1_min", "top1_max",
       "top1_p05", "top1_median", "top1_p95", "ci_low", "ci_high", "loss_mean", "top5_mean",
       "sdc_rate", "due_rate", "flips_mean", "vf", "half_width_observed"});
}

TEST(Reference, TrialsAreThose) {
  ExpectSameFigures(TrialsCsv(MadeUpCampaign()), DataFile("trials.csv"), {"ber", "top1", "top5"});
}

}  // namespace
}  // namespace bitquake
