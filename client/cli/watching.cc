#include "client/cli/watching.h"

#include <csignal>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "common/base/process.h"

namespace bitquake {
namespace {

// While a server restarts, a watcher waits.
constexpr absl::Duration kPatience = absl::Minutes(10);

std::string HowToGoOn(const std::string& id, const Session& session) {
  return absl::StrCat("the campaign goes on; watch it again with: bitquake watch ", id,
                      " --server ", session.flags.server.address);
}

}  // namespace

Watching::Watching(Session& session) : session_(session) {
  BlockTerminationSignals();
  std::signal(SIGPIPE, SIG_DFL);  // who reads the JSON lines may have enough of them
  progress_ = std::make_unique<Progress>();
  client_ = session.Connect(kPatience);
  interruption_ = Interruption::Await(
      client_, [] {}, "interrupted; campaigns that were submitted go on");
}

absl::Status Watching::ToEnd(const std::string& id) {
  CampaignStatus last;
  const absl::Status watched = client_->Watch(
      id,
      [&](const CampaignStatus& now) {
        if (session_.flags.json) {
          std::cout << StatusJson(now) << std::endl;
        } else {
          progress_->Show(now);
        }
        last = now;
      },
      [&] {
        progress_->Away(absl::StrCat("the server at ", session_.flags.server.address,
                                     " is away; waiting for it for up to ",
                                     absl::ToInt64Minutes(kPatience), " minutes"));
      });
  progress_->EndLine();
  if (!watched.ok()) {
    const absl::Status interrupted = interruption_->status();
    const absl::Status& why = interrupted.ok() ? watched : interrupted;
    return absl::Status(why.code(), absl::StrCat(why.message(), "; ", HowToGoOn(id, session_)));
  }
  session_.FinishCampaign(last);
  return absl::OkStatus();
}

}  // namespace bitquake
