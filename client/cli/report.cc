// `report`: a campaign's results so far as a page.
#include <iostream>

#include "client/cli/campaign_store.h"
#include "client/cli/command.h"
#include "client/cli/report_page.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

struct Flags {
  std::string campaign;
  std::string out = "report.html";
};

absl::Status Report(const Flags& flags, const Session& session) {
  ASSIGN_OR_RETURN(const CampaignResults results,
                   FetchResults(flags.campaign, /*details=*/false, session));
  ASSIGN_OR_RETURN(const std::string page, ReportHtml(results));
  RETURN_IF_ERROR(WriteFileAtomically(flags.out, page));
  std::cerr << "report: " << flags.out << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddReport(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("report", "Write a campaign's results as an HTML page");
  auto flags = std::make_shared<Flags>();
  command
      ->add_option("CAMPAIGN", flags->campaign,
                   "run directory, or a campaign as `bitquake list` names it")
      ->required();
  command->add_option("-o,--out", flags->out, "file to write")->capture_default_str();
  AddServerFlag(*command, session);
  command->footer("Example: bitquake report runs/demo-1 -o report.html");
  command->callback([flags, &session] { session.Finish(Report(*flags, session)); });
}

}  // namespace bitquake
