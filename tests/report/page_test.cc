// The report as a page: what is in it, that names in it stay text, that its numbers are the files'.
#include "common/report/page/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/report/csv.h"
#include "common/report/page/columns.h"
#include "common/report/page/embedded.h"
#include "common/report/page/html.h"
#include "common/report/page/sections.h"
#include "tests/report/made_up_cells.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Json = nlohmann::ordered_json;

constexpr char kHostile[] = "</script><script>alert('x')</script>\"onload=\"x<!--";

// Cells of all granularities that a figure is made for, at two rates; heads with distances.
CampaignReport MadeUpReport() {
  CampaignReport report;
  report.id = "c-1";
  report.name = "c";
  report.resolved_json = R"({"name":"c","seed":7})";
  report.progress.state = "running";
  GoldenResult golden = {"vit", "int8", 1000, 900, 990};
  golden.attention = {2, {{1e5, 2e5}, {3e5, 4e5}, {5e5, 6e5}, {7e5, 8e5}}};
  report.goldens = {golden};
  for (const double ber : {1e-6, 1e-4}) {
    for (const auto& [granularity, target] :
         std::vector<std::pair<std::string, std::string>>{{"model", "model"},
                                                          {"block", "blocks.0"},
                                                          {"block", "blocks.1"},
                                                          {"tensor", "blocks.0.mlp.fc1.weight"},
                                                          {"tensor", "head.weight"},
                                                          {"type", "q"},
                                                          {"head", "blocks.0.attn.h0"},
                                                          {"head", "blocks.0.attn.h1"},
                                                          {"head", "blocks.1.attn.h0"},
                                                          {"bit", "bit7"}}) {
      CellResult cell = Cell(granularity, target, {3, 10, 30}, ber);
      cell.golden = golden;
      cell.number = static_cast<int64_t>(report.cells.size());
      report.cells.push_back(cell);
    }
  }
  return report;
}

PageData DataOf(const CampaignReport& report) {
  absl::StatusOr<PageData> data = MakePageData(report);
  EXPECT_TRUE(data.ok()) << data.status();
  return *std::move(data);
}

std::string PageOf(const CampaignReport& report) {
  const absl::StatusOr<std::string> page = ReportPage(report);
  EXPECT_TRUE(page.ok()) << page.status();
  return *page;
}

// Without the library, whose text is not ours.
std::string OwnPartOf(const CampaignReport& report) {
  return absl::StrReplaceAll(PageOf(report), {{PlotlyScript(), ""}, {PageScript(), ""}});
}

size_t Count(const std::string& text, absl::string_view what) {
  return std::vector<std::string>(absl::StrSplit(text, what)).size() - 1;
}

// The rows of columns.h's JSON as a CSV file.
std::string CsvOf(const Json& table) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows(table.at("rows").get<size_t>());
  for (const auto& [name, column] : table.at("columns").items()) {
    names.push_back(name);
    std::vector<std::string> texts;
    if (column.is_string()) {
      texts = absl::StrSplit(column.get<std::string>(), ',');
    } else if (column.contains("at")) {
      for (const absl::string_view at : absl::StrSplit(column.at("at").get<std::string>(), ',')) {
        texts.push_back(column.at("of").at(std::stoul(std::string(at))));
      }
    } else {
      texts.assign(rows.size(), column.at("of").at(0));
    }
    for (size_t row = 0; row < rows.size(); ++row) {
      rows[row].push_back(texts.at(row));
    }
  }
  std::string csv;
  AppendCsvRow(names, &csv);
  for (const std::vector<std::string>& row : rows) {
    AppendCsvRow(row, &csv);
  }
  return csv;
}

TEST(EscapeHtml, LeavesNoMarkup) {
  EXPECT_EQ(EscapeHtml("a & <b> \"c\" 'd'"), "a &amp; &lt;b&gt; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(EscapeHtml("\x01\x7f\xff"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(EscapeHtml("\u00e9\n\t"), "\u00e9\n\t");
}

TEST(Columns, AreShortAndHoldTheTexts) {
  FigureTable table;
  table.columns = {"text", "same", "number", "few"};
  for (int64_t i = 0; i < 4; ++i) {
    table.rows.push_back({i % 2 ? "a,b" : "c\"", "s", 0.1 * static_cast<double>(i),
                          i % 2 ? 0.12345678901234567 : std::nan("")});
  }
  EXPECT_EQ(ColumnsJson(table),
            R"({"rows":4,"columns":{"text":{"of":["c\"","a,b"],"at":"0,1,0,1"},"same":)"
            R"({"of":["s"]},"number":"0,0.1,0.2,0.30000000000000004","few":)"
            R"(",0.12345678901234566,,0.12345678901234566"}})");
  EXPECT_EQ(CsvOf(Json::parse(ColumnsJson(table))), ToCsv(table));
  EXPECT_EQ(CsvOf(Json::parse(ColumnsJson(table, {}))), "text,same,number,few\n");
}

// A run's campaign is known to its own store alone.
TEST(Page, SaysHowATrialIsReplayed) {
  CampaignReport report = MadeUpReport();
  EXPECT_THAT(PageOf(report), HasSubstr("<pre>bitquake replay c-1 CELL TRIAL</pre>"));
  report.of_run_directory = true;
  EXPECT_THAT(PageOf(report), HasSubstr("<pre>bitquake replay RUN-DIRECTORY CELL TRIAL</pre>"));
}

TEST(Page, HoldsTheNumbersOfTheFiles) {
  const CampaignReport report = MadeUpReport();
  const std::string page = PageOf(report);
  const size_t start = page.find("id=\"data\">") + strlen("id=\"data\">");
  const Json data = Json::parse(page.substr(start, page.find("</script>", start) - start));
  const Derivation derivation = DerivationOf(report.resolved_json);
  EXPECT_EQ(CsvOf(data["tables"]["cells"]), CellsCsv(report.cells, derivation));
  const NamedTable* thresholds = nullptr;
  const PageData again = DataOf(report);
  for (const NamedTable& table : again.tables) {
    thresholds = table.name == "thresholds" ? &table : thresholds;
    EXPECT_EQ(CsvOf(data["tables"][table.name]), ToCsv(table.figures)) << table.name;
  }
  ASSERT_NE(thresholds, nullptr);
  EXPECT_EQ(thresholds->figures.rows.size(), 10 * 3u);
}

TEST(Page, HasAFigureForAllThatThereAreDataFor) {
  const std::string page = OwnPartOf(MadeUpReport());
  for (const std::string id : {"golden", "accuracy", "blocks", "tensors", "types", "heads", "mad",
                               "thresholds", "bits", "ranking", "costs"}) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("<section class=\"figure\" id=\"", id, "\"><h2>")));
  }
  EXPECT_THAT(page, Not(HasSubstr("Not in this report")));
}

TEST(Page, SaysWhatItHasNoDataFor) {
  CampaignReport report = MadeUpReport();
  report.cells = {Cell("model", "model", {1, 2})};
  report.cells[0].golden = report.goldens[0];
  const std::string page = OwnPartOf(report);
  EXPECT_THAT(page, HasSubstr("id=\"golden\"><h2>"));
  EXPECT_THAT(page, HasSubstr("id=\"heads\" hidden>"));
  EXPECT_THAT(page, HasSubstr("Heads and blocks: it needs cells of granularity `head`."));
  EXPECT_THAT(page, HasSubstr("Thresholds: it needs a target with two bit-error rates or more."));
  EXPECT_THAT(page, HasSubstr("data-absent=\"costs\" hidden>"));
}

TEST(Page, OfACampaignThatHasJustBegunIsAPage) {
  CampaignReport report = MadeUpReport();
  report.cells.clear();
  report.goldens.clear();
  EXPECT_THAT(OwnPartOf(report), HasSubstr("no accuracy without faults is known yet"));
}

TEST(Page, NamesStayText) {
  CampaignReport report = MadeUpReport();
  report.id = report.name = report.data_digest = kHostile;
  report.resolved_json = Json({{"name", kHostile}, {"seed", 7}}).dump();
  report.server_version = report.progress.error = report.progress.state = kHostile;
  report.progress.poison_errors = {kHostile};
  report.models = {{kHostile, kHostile, kHostile, 1}};
  report.device_kinds = {kHostile};
  report.goldens[0].model = kHostile;
  for (CellResult& cell : report.cells) {
    cell.key = {kHostile, kHostile, kHostile, kHostile, kHostile, kHostile, cell.key.ber};
  }
  const std::string page = OwnPartOf(report);
  const std::string plain = OwnPartOf(MadeUpReport());
  for (const std::string markup : {"<script", "</script", "<!--", "onload=\""}) {
    EXPECT_EQ(Count(page, markup), Count(plain, markup)) << markup;
  }
  EXPECT_THAT(page, HasSubstr("&lt;/script&gt;&lt;script&gt;alert(&#39;x&#39;)"));
}

TEST(Page, LetsNothingInFromTheNetwork) {
  const std::string page = OwnPartOf(MadeUpReport());
  EXPECT_THAT(page, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(page, HasSubstr("connect-src 'none'"));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(PagePolicy(/*live=*/true), HasSubstr("connect-src 'self'"));
}

TEST(Page, BoundsItsTablesAndSaysWhereTheRestIs) {
  CampaignReport report = MadeUpReport();
  report.cells.clear();
  for (int i = 0; i < 300; ++i) {
    report.cells.push_back(Cell("tensor", absl::StrCat("t", i), {1}));
    report.cells.back().golden = report.goldens[0];
  }
  const std::string page = OwnPartOf(report);
  EXPECT_THAT(page, HasSubstr("200 of 300 rows, rounded; all of them, with every digit, are in "
                              "cells.csv."));
  EXPECT_THAT(page, HasSubstr("<td>t199</td>"));
  EXPECT_THAT(page, Not(HasSubstr("<td>t200</td>")));
}

TEST(Change, HasOnlyTheRowsThatDiffer) {
  CampaignReport report = MadeUpReport();
  report.cells = {Cell("tensor", "a", {1, 2}), Cell("model", "model", {1, 2}),
                  Cell("part", "mlp", {})};
  for (size_t i = 0; i < report.cells.size(); ++i) {
    report.cells[i].golden = report.goldens[0];
    report.cells[i].number = static_cast<int64_t>(10 * i);
  }
  const PageData before = DataOf(report);
  EXPECT_EQ(Json::parse(ChangeJson(before, before).json)["tables"], Json::object());

  report.cells[1].trials = Cell("", "", {1, 2, 3}).trials;
  report.cells[2].trials = Cell("", "", {4}).trials;
  const PageChange change = ChangeJson(before, DataOf(report));
  EXPECT_TRUE(change.whole);
  const Json tables = Json::parse(change.json)["tables"];
  EXPECT_EQ(tables["cells"]["columns"]["cell"], "10,20");
  EXPECT_EQ(tables["cells"]["columns"]["target"]["of"], Json({"model", "mlp"}));
  EXPECT_TRUE(tables.contains("costs"));
  EXPECT_FALSE(tables.contains("golden"));
}

TEST(Change, CannotTakeACellAway) {
  CampaignReport report = MadeUpReport();
  const PageData before = DataOf(report);
  report.cells.erase(report.cells.begin() + 3);
  EXPECT_FALSE(ChangeJson(before, DataOf(report)).whole);
}

}  // namespace
}  // namespace bitquake
