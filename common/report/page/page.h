// A campaign's report as one HTML file that needs nothing else: the figures, a plotting library
// (plotly.js, MIT) that draws them, the tables for readers without scripts. It opens from a disk
// without a network, which its Content-Security-Policy forbids it to use.
//
// A coordinator serves the same page, which then goes on asking for what changed:
//
//   ASSIGN_OR_RETURN(const PageData data, MakePageData(report));
//   WritePage(report, data, {});
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/report/page/campaign_report.h"
#include "common/report/page/figures.h"

namespace bitquake {

// What of a page may change while a campaign goes on.
struct PageData {
  std::string progress;  // JSON: how far the campaign is
  std::vector<NamedTable> tables;
};

// Errors: those of ReportTables.
absl::StatusOr<PageData> MakePageData(const CampaignReport& report);

// How the JSON of a page, or of a change, is put together: each table as columns.h has it, with
// which sections of the page have data.
std::string PageJson(const PageData& data);
// `since` is what the reader has: only tables that differ, of cells.csv only rows that do. False in
// `whole` if a cell is gone, which this cannot say.
struct PageChange {
  std::string json;
  bool whole = true;
};
PageChange ChangeJson(const PageData& since, const PageData& data);

struct PageOptions {
  std::string events;   // path of a stream of changes (Server-Sent Events); empty: a finished page
  std::string version;  // of the data, as the stream counts
};

std::string WritePage(const CampaignReport& report, const PageData& data,
                      const PageOptions& options);

// MakePageData and WritePage.
absl::StatusOr<std::string> ReportPage(const CampaignReport& report);

// The Content-Security-Policy of WritePage's pages, which they state themselves.
std::string PagePolicy(bool live);

}  // namespace bitquake
