#include <iostream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/campaign_file.h"
#include "client/cli/command.h"
#include "client/cli/watching.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

// A request that a server may have taken before it went away is sent again so long.
constexpr absl::Duration kPatience = absl::Seconds(5);

struct Flags {
  std::string path;
  std::string request_id;
  bool watch = false;
};

// The same request ID finds the same campaign: a submit can be tried again without making two.
absl::StatusOr<std::string> SubmitOnce(const CampaignFile& file, const Flags& flags,
                                       const Session& session) {
  RETURN_IF_ERROR(session.Connect()->Server().status());  // unreachable: said at once
  const std::string request_id =
      flags.request_id.empty() ? RandomHex() + RandomHex() : flags.request_id;
  absl::StatusOr<std::string> id =
      session.Connect(kPatience)->Submit(file.to_submit, file.path, request_id);
  if (absl::IsUnavailable(id.status())) {
    return absl::UnavailableError(
        absl::StrCat(id.status().message(),
                     "; whether it took the campaign is not known: submit it again with "
                     "--request-id ",
                     request_id, ", which makes no second one"));
  }
  return id;
}

absl::Status Submit(const Flags& flags, Session& session) {
  ASSIGN_OR_RETURN(const CampaignFile file, ReadCampaignFile(flags.path));
  std::optional<Watching> watching;
  if (flags.watch) {
    watching.emplace(session);
  }
  ASSIGN_OR_RETURN(const std::string id, SubmitOnce(file, flags, session));
  if (session.flags.json) {
    std::cout << nlohmann::json{{"id", id}}.dump() << std::endl;
  } else {
    std::cout << id << std::endl;
  }
  return watching ? watching->ToEnd(id) : absl::OkStatus();
}

}  // namespace

void AddSubmit(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("submit", "Give a campaign to a coordinator");
  auto flags = std::make_shared<Flags>();
  command->add_option("FILE", flags->path, "campaign file")->required();
  command->add_flag("--watch", flags->watch, "stay and show its progress");
  command
      ->add_option("--request-id", flags->request_id,
                   "of an earlier try, whose campaign is found again rather than made twice")
      ->type_name("ID");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session, "print JSON; with --watch, a line for each change");
  command->footer("Example: bitquake submit campaign.yaml --watch");
  command->callback([flags, &session] { session.Finish(Submit(*flags, session)); });
}

}  // namespace bitquake
