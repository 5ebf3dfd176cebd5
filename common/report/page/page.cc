#include "common/report/page/page.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/build_info.h"
#include "common/base/status_macros.h"
#include "common/report/page/columns.h"
#include "common/report/page/embedded.h"
#include "common/report/page/html.h"
#include "common/report/page/sections.h"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTableRows = 200;

std::string Dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

// As Content-Security-Policy names a script.
std::string ScriptHash(absl::string_view script) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(script.data(), script.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::StrCat(
      "'sha256-",
      absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size)), "'");
}

std::string TimeText(int64_t unix_ms) {
  return unix_ms == 0 ? "-"
                      : absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMillis(unix_ms),
                                         absl::UTCTimeZone());
}

std::string ProgressJson(const CampaignProgress& progress) {
  return Dump({{"state", progress.state},
               {"error", progress.error},
               {"jobs_expected", progress.jobs_expected},
               {"jobs_done", progress.jobs_done},
               {"jobs_poisoned", progress.jobs_poisoned},
               {"images_done", progress.images_done},
               {"images_without_flips", progress.images_without_flips},
               {"images_copied", progress.images_copied},
               {"images_per_second", progress.images_per_second},
               {"eta_seconds", progress.eta_seconds},
               {"workers", progress.workers},
               {"submitted_unix_ms", progress.submitted_unix_ms},
               {"finished_unix_ms", progress.finished_unix_ms},
               {"ended", progress.ended()}});
}

std::string SectionsJson(const std::vector<NamedTable>& tables) {
  Json present = Json::object();
  for (const Section& section : Sections(tables)) {
    present[section.id] = section.absent.empty();
  }
  return Dump(present);
}

// {"progress":..., "sections":..., "tables":{...}} of these tables, each as JSON already.
std::string Document(const PageData& data,
                     const std::vector<std::pair<std::string, std::string>>& tables) {
  std::string json = absl::StrCat("{\"progress\":", data.progress,
                                  ",\"sections\":", SectionsJson(data.tables), ",\"tables\":{");
  for (size_t i = 0; i < tables.size(); ++i) {
    absl::StrAppend(&json, i > 0 ? "," : "", "\"", tables[i].first, "\":", tables[i].second);
  }
  return json + "}}";
}

// A row of `cells` in `since` and in `data` that says something else, or is new. False if one is
// gone.
bool ChangedCells(const FigureTable& since, const FigureTable& now, std::vector<size_t>* changed) {
  // Both are in the order of the cells' numbers.
  size_t at = 0;
  const size_t number =
      std::find(now.columns.begin(), now.columns.end(), "cell") - now.columns.begin();
  for (size_t row = 0; row < now.rows.size(); ++row) {
    const bool known = at < since.rows.size() && since.rows[at][number] == now.rows[row][number];
    // As text: an undefined figure equals an undefined one.
    const auto same = [](const Figure& a, const Figure& b) { return ToText(a) == ToText(b); };
    if (!known || !std::equal(now.rows[row].begin(), now.rows[row].end(), since.rows[at].begin(),
                              since.rows[at].end(), same)) {
      changed->push_back(row);
    }
    at += known ? 1 : 0;
  }
  return at == since.rows.size();
}

// A term and what it is.
std::string Item(absl::string_view term, absl::string_view what) {
  return absl::StrCat("<dt>", EscapeHtml(term), "</dt><dd>", EscapeHtml(what), "</dd>\n");
}

std::string FigureSection(const Section& section, const FigureTable& table) {
  std::string html =
      absl::StrCat("<section class=\"figure\" id=\"", section.id, "\"",
                   section.absent.empty() ? "" : " hidden", "><h2>", EscapeHtml(section.title),
                   "</h2>\n<p class=\"caption\">", EscapeHtml(section.caption),
                   "</p>\n<div class=\"controls\"></div><div class=\"plot\" "
                   "role=\"img\" aria-label=\"",
                   EscapeHtml(section.title), "\"></div>\n");
  return absl::StrCat(
      html, "<details open><summary>Table</summary>\n",
      HtmlTable(table, section.columns, section.rows, section.id, kTableRows, section.file),
      "</details></section>\n");
}

std::string AbsentList(const std::vector<Section>& sections) {
  std::string html = "<section id=\"absent\"><h2>Not in this report</h2>\n<ul>\n";
  bool any = false;
  for (const Section& section : sections) {
    any = any || !section.absent.empty();
    absl::StrAppend(&html, "<li data-absent=\"", section.id, "\"",
                    section.absent.empty() ? " hidden" : "", ">", EscapeHtml(section.title), ": ",
                    EscapeHtml(section.absent.empty() ? "" : section.absent), ".</li>\n");
  }
  return any ? html + "</ul></section>\n" : "";
}

std::string CampaignSection(const CampaignReport& report) {
  std::string html = "<section id=\"campaign\"><h2>The campaign</h2>\n<dl>\n";
  const CampaignProgress& progress = report.progress;
  absl::StrAppend(&html, Item("ID", report.id),
                  Item("submitted", TimeText(progress.submitted_unix_ms)),
                  Item("finished", TimeText(progress.finished_unix_ms)));
  if (progress.finished_unix_ms > 0) {
    absl::StrAppend(
        &html, Item("took", absl::FormatDuration(absl::Milliseconds(progress.finished_unix_ms -
                                                                    progress.submitted_unix_ms))));
  }
  absl::StrAppend(
      &html, Item("work", absl::StrCat(progress.images_done, " images, of which ",
                                       progress.images_without_flips,
                                       " were known without a flip, and ", progress.images_copied,
                                       " from another trial with the same faults")));
  for (const ReportedModel& model : report.models) {
    absl::StrAppend(
        &html, Item("model", absl::StrCat(model.model, " (", model.architecture, "), digest ",
                                          model.digest, ", ", model.chunk, " images a forward")));
  }
  absl::StrAppend(&html, Item("images", absl::StrCat(report.images, " in ", report.folds,
                                                     " folds, digest ", report.data_digest)));
  for (const std::string& kind : report.device_kinds) {
    absl::StrAppend(&html, Item("device", kind));
  }
  absl::StrAppend(&html, Item("versions", absl::StrCat("report ", kVersion, ", coordinator ",
                                                       report.server_version)));
  for (const std::string& error : progress.poison_errors) {
    absl::StrAppend(&html, Item("failed for good", error));
  }
  return absl::StrCat(
      html,
      "</dl>\n<details open><summary>Campaign file, with every default filled in</summary>\n<pre "
      "id=\"resolved\">",
      EscapeHtml(Dump(Json::parse(report.resolved_json), 2)), "</pre></details></section>\n");
}

std::string ReplaySection(const CampaignReport& report) {
  return absl::StrCat(
      "<section id=\"replay\"><h2>Cite and replay</h2>\n"
      "<p>The method is that of \xe2\x80\x9c"
      "Fine-Grained Fault Sensitivity Analysis of Vision Transformers Under Soft "
      "Errors\xe2\x80\x9d, Electronics 2025, 14(12), 2418. Cite it, and state Bitquake ",
      EscapeHtml(report.server_version),
      ", the campaign file above and the digests of models and data: with these, the same "
      "numbers come out again, bit for bit on the same kind of device.</p>\n"
      "<p>To run it again, save the campaign file above as <code>campaign.yaml</code> (JSON is "
      "YAML):</p>\n<pre>bitquake run campaign.yaml --model-root MODELS --data-root DATA</pre>\n"
      "<p>To draw the faults of one trial again, compute it and compare every count with what is "
      "stored, name its cell by the number in the column <code>cell</code>",
      report.of_run_directory ? ", and the folder that the run made" : "",
      ":</p>\n<pre>bitquake replay ",
      report.of_run_directory ? "RUN-DIRECTORY" : EscapeHtml(report.id),
      " CELL TRIAL</pre></section>\n");
}

}  // namespace

absl::StatusOr<PageData> MakePageData(const CampaignReport& report) {
  PageData data;
  data.progress = ProgressJson(report.progress);
  ASSIGN_OR_RETURN(data.tables, ReportTables(report));
  return data;
}

std::string PageJson(const PageData& data) {
  std::vector<std::pair<std::string, std::string>> tables;
  for (const NamedTable& table : data.tables) {
    tables.emplace_back(table.name, ColumnsJson(table.figures));
  }
  return Document(data, tables);
}

PageChange ChangeJson(const PageData& since, const PageData& data) {
  PageChange change;
  std::vector<std::pair<std::string, std::string>> tables;
  for (const NamedTable& table : data.tables) {
    const FigureTable& before = TableNamed(since.tables, table.name);
    if (table.name == "cells") {
      std::vector<size_t> rows;
      change.whole = ChangedCells(before, table.figures, &rows);
      if (!rows.empty()) {
        tables.emplace_back(table.name, ColumnsJson(table.figures, rows));
      }
      continue;
    }
    std::string json = ColumnsJson(table.figures);
    if (json != ColumnsJson(before)) {
      tables.emplace_back(table.name, std::move(json));
    }
  }
  change.json = Document(data, tables);
  return change;
}

std::string PagePolicy(bool live) {
  return absl::StrCat("default-src 'none'; script-src ", ScriptHash(PlotlyScript()), " ",
                      ScriptHash(PageScript()),
                      "; style-src 'unsafe-inline'; img-src data: blob:; connect-src ",
                      live ? "'self'" : "'none'", "; base-uri 'none'; form-action 'none'");
}

std::string WritePage(const CampaignReport& report, const PageData& data,
                      const PageOptions& options) {
  const std::vector<Section> sections = Sections(data.tables);
  std::string html = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"",
      PagePolicy(!options.events.empty()),
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" "
      "content=\"Bitquake ",
      kVersion, "\">\n<title>", EscapeHtml(report.name), " - Bitquake</title>\n<style>\n",
      PageStyle(), "</style>\n<noscript><style>.plot, .controls, #theme { display: none }",
      "</style></noscript>\n</head>\n<body data-events=\"", EscapeHtml(options.events),
      "\" data-version=\"", EscapeHtml(options.version), "\">\n<header><h1>",
      EscapeHtml(report.name), "</h1>\n<p id=\"progress\" role=\"status\">",
      EscapeHtml(report.progress.state), ", ", report.progress.jobs_done, " of ",
      report.progress.jobs_expected, " jobs, ", report.progress.images_done, " images</p>\n",
      "<p id=\"error\">", EscapeHtml(report.progress.error),
      "</p>\n<button id=\"theme\" type=\"button\">Light or dark</button></header>\n"
      "<nav aria-label=\"Figures\">");
  for (const Section& section : sections) {
    absl::StrAppend(&html, "<a href=\"#", section.id, "\"", section.absent.empty() ? "" : " hidden",
                    ">", EscapeHtml(section.title), "</a> ");
  }
  html +=
      "<a href=\"#campaign\">The campaign</a> <a href=\"#replay\">Cite and replay</a></nav>\n"
      "<main>\n";
  for (const Section& section : sections) {
    html += FigureSection(section, TableNamed(data.tables, section.table));
  }
  absl::StrAppend(&html, AbsentList(sections), CampaignSection(report), ReplaySection(report),
                  "</main>\n<footer>Made by Bitquake ", kVersion,
                  ". Figures are drawn by plotly.js, under the MIT licence.<details><summary>Its "
                  "licence</summary><pre>",
                  EscapeHtml(PlotlyLicence()),
                  "</pre></details></footer>\n<div id=\"hover\" role=\"tooltip\" hidden></div>\n"
                  "<script type=\"application/json\" id=\"data\">",
                  EscapeJsonForScript(PageJson(data)),
                  "</script>\n<script type=\"text/plain\" id=\"plotly\">", PlotlyScript(),
                  "</script>\n<script>", PageScript(), "</script>\n</body>\n</html>\n");
  return html;
}

absl::StatusOr<std::string> ReportPage(const CampaignReport& report) {
  ASSIGN_OR_RETURN(const PageData data, MakePageData(report));
  return WritePage(report, data, {});
}

}  // namespace bitquake
