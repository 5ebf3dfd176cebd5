#include "client/cli/command.h"

#include <cmath>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/cli/command_spec.h"
#include "common/base/shown.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

// What CLI11 is told of a --device: empty if it is one.
std::string CheckDevice(const std::string& name) {
  absl::string_view rest = name;
  int number;
  const bool known = name == "cpu" || name == "cuda" ||
                     (absl::ConsumePrefix(&rest, "cuda:") && absl::SimpleAtoi(rest, &number));
  return known ? "" : absl::StrCat("'", name, "' is not cpu, cuda or cuda:NUMBER");
}

}  // namespace

std::string DurationText(double seconds) {
  const auto total = static_cast<int64_t>(std::ceil(seconds));
  if (total >= 3600) {
    return absl::StrFormat("%dh%02dm", total / 3600, total / 60 % 60);
  }
  return total >= 60 ? absl::StrFormat("%dm%02ds", total / 60, total % 60)
                     : absl::StrFormat("%ds", total);
}

void Session::Finish(const absl::Status& status) {
  if (status.ok()) {
    return;
  }
  std::cerr << "bitquake: " << PrintableLines(status.message()) << "\n";
  exit_code = absl::IsInvalidArgument(status) ? kUsage
              : absl::IsUnavailable(status)   ? kUnreachable
                                              : kFailed;
}

void Session::FinishCampaign(const CampaignStatus& campaign) {
  if (campaign.state == "failed") {
    std::cerr << "bitquake: campaign " << campaign.id << " failed: " << Printable(campaign.error)
              << "\n";
    exit_code = kFailed;
  } else if (campaign.state == "cancelled") {
    std::cerr << "bitquake: campaign " << campaign.id << " was cancelled\n";
    exit_code = kFailed;
  } else if (campaign.jobs_poisoned > 0) {
    std::cerr << "bitquake: " << campaign.jobs_poisoned
              << " jobs were set aside after their last attempt; their trials are missing:\n";
    for (const std::string& error : campaign.poison_errors) {
      std::cerr << "  " << Printable(error) << "\n";
    }
    exit_code = kPoisoned;
  }
}

void AddServerFlag(CLI::App& command, Session& session) {
  AddConnectionFlags(command, &session.flags.server);
  // Without it CLI11 reads the environment for commands that were not given, too: into the flags
  // that all commands share, over what the command line says.
  command.parse_complete_callback([] {});
  for (CLI::Option* option : command.get_options()) {
    const std::string& name = option->get_single_name();
    if (name == "server" || name == "token-file" || absl::StartsWith(name, "tls-")) {
      option->type_name(name == "server" ? "ADDR" : "FILE")->group(kConnectionGroup);
    }
  }
}

void AddIdArgument(CLI::App& command, std::string* id) {
  command
      .add_option("ID", *id, "campaign: its ID, how that begins, or its name; see `bitquake list`")
      ->required();
}

void AddModelRootFlag(CLI::App& command, std::vector<std::string>* roots) {
  command.add_option("--model-root", *roots, "folder to look for models in; repeatable")
      ->type_name("DIR")
      ->envname("BITQUAKE_MODEL_ROOT");
}

void AddDataRootFlag(CLI::App& command, std::vector<std::string>* roots) {
  command.add_option("--data-root", *roots, "folder to look for data sets in; repeatable")
      ->type_name("DIR")
      ->envname("BITQUAKE_DATA_ROOT");
}

void AddDeviceFlag(CLI::App& command, std::string* device) {
  command.add_option("--device", *device, "cpu, cuda or cuda:NUMBER; workers share out GPUs")
      ->type_name("DEVICE")
      ->check(CLI::Validator(CheckDevice, "{cpu,cuda}"))
      ->capture_default_str();
}

void AddJsonFlag(CLI::App& command, Session& session, const std::string& doc) {
  command.add_flag("--json", session.flags.json, doc);
}

std::string StatusJson(const CampaignStatus& s) {
  nlohmann::ordered_json json = {{"id", s.id},
                                 {"name", s.name},
                                 {"state", s.state},
                                 {"error", s.error},
                                 {"jobs_total", s.jobs_total},
                                 {"jobs_expected", s.jobs_expected},
                                 {"jobs_done", s.jobs_done},
                                 {"jobs_poisoned", s.jobs_poisoned},
                                 {"jobs_leased", s.jobs_leased},
                                 {"images_done", s.images_done},
                                 {"images_without_flips", s.images_without_flips},
                                 {"images_copied", s.images_copied},
                                 {"images_per_second", s.images_per_second},
                                 {"eta_seconds", s.eta_seconds},
                                 {"workers", s.workers},
                                 {"cells", s.cells},
                                 {"worst_cell", s.worst_cell},
                                 {"worst_half_width", s.worst_half_width},
                                 {"submitted_unix_ms", s.submitted_unix_ms},
                                 {"finished_unix_ms", s.finished_unix_ms},
                                 {"poison_errors", s.poison_errors}};
  return json.dump();
}

std::string JobsText(const CampaignStatus& s) {
  // While trials are planned as they come, the number in the end is an estimate.
  return s.jobs_expected > s.jobs_total ? absl::StrCat(s.jobs_done, "/~", s.jobs_expected)
                                        : absl::StrCat(s.jobs_done, "/", s.jobs_total);
}

std::string SavingsLine(const CampaignStatus& s) {
  const int64_t run = s.images_done - s.images_without_flips - s.images_copied;
  return absl::StrCat("inferences: ", run, " images run; ", s.images_without_flips,
                      " known without, for nothing was flipped; ", s.images_copied,
                      " for another trial had the same faults");
}

std::string StatusLine(const CampaignStatus& s) {
  std::string line = absl::StrCat(s.name, ": ", s.state);
  if (s.state == "probing") {
    return line;
  }
  absl::StrAppend(&line, " ", JobsText(s), " jobs");
  if (s.jobs_poisoned > 0) {
    absl::StrAppend(&line, ", ", s.jobs_poisoned, " poisoned");
  }
  if (!s.ended()) {
    if (s.images_per_second > 0) {
      absl::StrAppend(&line, ", ", absl::StrFormat("%.0f images/s", s.images_per_second));
    }
    if (s.eta_seconds > 0) {
      absl::StrAppend(&line, ", ", DurationText(s.eta_seconds), " left");
    }
    absl::StrAppend(&line, ", ", s.workers, s.workers == 1 ? " worker" : " workers");
  }
  if (!s.error.empty() && !s.ended()) {
    absl::StrAppend(&line, ", ", Printable(s.error));
  }
  if (!s.worst_cell.empty()) {
    absl::StrAppend(&line, ", widest: ", s.worst_cell,
                    absl::StrFormat(" +-%.2f pp", s.worst_half_width));
  }
  return line;
}

}  // namespace bitquake
