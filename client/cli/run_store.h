// A run directory's campaign, asked as any other.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "client/api/client.h"
#include "client/cli/run_directory.h"

namespace bitquake {

bool IsRunDirectory(const std::string& path);

// Calls `ask` with a client of the run's coordinator, if the run is going on, else of one of our
// own on its store, and with the ID of the only campaign there.
absl::Status AskRun(RunDirectory& run,
                    const std::function<absl::Status(Client&, const std::string& id)>& ask);

}  // namespace bitquake
