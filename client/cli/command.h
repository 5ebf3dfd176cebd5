// What the commands share: one file a command, each with a function that adds it to the program.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/api/client.h"

namespace bitquake {

// Exit codes, as documented for scripts.
enum ExitCode {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,        // or an invalid campaign file
  kUnreachable = 3,  // the server
  kPoisoned = 4,     // the campaign finished, with poisoned jobs
};

struct GlobalFlags {
  ConnectionOptions server;
  bool json = false;
};

// A command's body sets this; main returns it.
struct Session {
  GlobalFlags flags;
  int exit_code = kDone;

  // `patience`: how long calls are tried again while the server cannot be reached.
  std::unique_ptr<Client> Connect(absl::Duration patience = absl::ZeroDuration()) const {
    return Client::Connect(flags.server, {patience});
  }
  // Prints the error, if it is one, to stderr and sets the exit code.
  void Finish(const absl::Status& status);
  // The exit code of a campaign that has ended.
  void FinishCampaign(const CampaignStatus& campaign);
};

// Adds to a command: --server with --tls-* and --token-file; --json.
void AddServerFlag(CLI::App& command, Session& session);
void AddJsonFlag(CLI::App& command, Session& session, const std::string& doc = "print JSON");

// Adds ID: a campaign of a coordinator, as FindCampaign takes it.
void AddIdArgument(CLI::App& command, std::string* id);

// Adds --model-root and --data-root: folders to look in.
void AddModelRootFlag(CLI::App& command, std::vector<std::string>* roots);
void AddDataRootFlag(CLI::App& command, std::vector<std::string>* roots);

// Adds --device: where workers compute.
void AddDeviceFlag(CLI::App& command, std::string* device);

void AddRun(CLI::App& app, Session& session);
void AddValidate(CLI::App& app, Session& session);
void AddSubmit(CLI::App& app, Session& session);
void AddList(CLI::App& app, Session& session);
void AddShow(CLI::App& app, Session& session);
void AddWatch(CLI::App& app, Session& session);
void AddControl(CLI::App& app, Session& session);  // pause, resume, cancel
void AddResults(CLI::App& app, Session& session);
void AddReport(CLI::App& app, Session& session);
void AddProtect(CLI::App& app, Session& session);
void AddReplay(CLI::App& app, Session& session);
void AddInspect(CLI::App& app, Session& session);
void AddWorkers(CLI::App& app, Session& session);
void AddDoctor(CLI::App& app, Session& session);
void AddFetchHelp(CLI::App& app, Session& session);
void AddSchema(CLI::App& app, Session& session);
void AddCompletion(CLI::App& app, Session& session);
void AddHelp(CLI::App& app, Session& session);
void AddVersion(CLI::App& app, Session& session);

// Has help of the program and of its commands printed so that it fits a screen.
void UseScreenHelp(CLI::App& app);

// "1h02m", "3m05s", "7s"; rounded up.
std::string DurationText(double seconds);
// A campaign's state as JSON, and as one line for people.
std::string StatusJson(const CampaignStatus& status);
std::string StatusLine(const CampaignStatus& status);
// "12/40"; "12/~40" while 40 is an estimate.
std::string JobsText(const CampaignStatus& status);
// What the images that are done took, and what was known without running them.
std::string SavingsLine(const CampaignStatus& status);

}  // namespace bitquake
