// Following a campaign of a coordinator until it ends.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/cli/command.h"
#include "client/cli/interruption.h"
#include "client/cli/progress.h"

namespace bitquake {

// Shows a campaign's progress, or prints its states as JSON lines, and sets the exit code when it
// has ended. A server that goes away is waited for. Ctrl-C ends the watching, not the campaign.
class Watching {
 public:
  explicit Watching(Session& session);  // before any thread is started

  absl::Status ToEnd(const std::string& id);

 private:
  Session& session_;
  std::unique_ptr<Progress> progress_;
  std::shared_ptr<Client> client_;
  std::shared_ptr<Interruption> interruption_;
};

}  // namespace bitquake
