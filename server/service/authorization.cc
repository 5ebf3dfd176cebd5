#include "server/service/authorization.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bitquake {
namespace {

// Sets of callers, a bit each.
constexpr unsigned Only(Role role) { return 1u << static_cast<unsigned>(role); }
constexpr unsigned kSubmitters = Only(Role::kSubmitter);
constexpr unsigned kReaders = Only(Role::kViewer) | kSubmitters;
constexpr unsigned kWorkers = Only(Role::kWorker);
constexpr unsigned kAnybody = ~0u;

struct Rule {
  absl::string_view service;
  absl::string_view method;
  unsigned callers;
};

constexpr absl::string_view kCampaigns = "bitquake.v1.CampaignService";
constexpr absl::string_view kWork = "bitquake.v1.WorkerService";
constexpr absl::string_view kHealth = "grpc.health.v1.Health";

constexpr Rule kRules[] = {
    {kCampaigns, "Submit", kSubmitters},
    {kCampaigns, "PauseCampaign", kSubmitters},
    {kCampaigns, "ResumeCampaign", kSubmitters},
    {kCampaigns, "CancelCampaign", kSubmitters},
    {kCampaigns, "Validate", kReaders},
    {kCampaigns, "GetCampaign", kReaders},
    {kCampaigns, "ListCampaigns", kReaders},
    {kCampaigns, "WatchCampaign", kReaders},
    {kCampaigns, "StreamResults", kReaders},
    {kCampaigns, "GetTrial", kReaders},
    {kCampaigns, "ListWorkers", kReaders},
    {kWork, "Register", kWorkers},
    {kWork, "LeaseJobs", kWorkers},
    {kWork, "Heartbeat", kWorkers},
    {kWork, "StreamOutcomes", kWorkers},
    {kHealth, "Check", kAnybody},
    {kHealth, "Watch", kAnybody},
};

std::string Path(const Rule& rule) { return absl::StrCat("/", rule.service, "/", rule.method); }

}  // namespace

absl::Status Authorize(absl::string_view path, const absl::StatusOr<Identity>& caller) {
  const auto* rule = std::find_if(std::begin(kRules), std::end(kRules),
                                  [path](const Rule& rule) { return Path(rule) == path; });
  const unsigned callers = rule == std::end(kRules) ? 0 : rule->callers;
  if (callers == kAnybody) {
    return absl::OkStatus();
  }
  if (!caller.ok()) {
    return caller.status();
  }
  if ((callers & Only(caller->role)) == 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("the role of ", caller->name, ", ", RoleName(caller->role), ", may not call ",
                     path.substr(std::min(path.rfind('/') + 1, path.size())),
                     "; use credentials of a role that may"));
  }
  return absl::OkStatus();
}

std::vector<std::string> AuthorizedCalls() {
  std::vector<std::string> calls;
  for (const Rule& rule : kRules) {
    calls.push_back(Path(rule));
  }
  return calls;
}

std::string AuthorizationTable() {
  std::string table = "| call | nobody |";
  for (const Role role : kRoles) {
    absl::StrAppend(&table, " ", RoleName(role), " |");
  }
  absl::StrAppend(&table, "\n|---|---|---|---|---|\n");
  for (const Rule& rule : kRules) {
    const absl::string_view service = rule.service.substr(rule.service.rfind('.') + 1);
    absl::StrAppend(&table, "| `", service, ".", rule.method, "` |",
                    rule.callers == kAnybody ? " yes |" : " |");
    for (const Role role : kRoles) {
      absl::StrAppend(&table, (rule.callers & Only(role)) != 0 ? " yes |" : " |");
    }
    absl::StrAppend(&table, "\n");
  }
  return table;
}

}  // namespace bitquake
