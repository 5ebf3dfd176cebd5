// bitquake: the client.
#include <iostream>

#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "client/cli/usage_error.h"
#include "common/base/build_info.h"
#include "common/base/output.h"
#include "common/base/process.h"

namespace {

// Returns the command's exit code.
int RunCommand(int argc, char** argv) {
  bitquake::BlockResizeSignal();
  bitquake::Session session;
  CLI::App app("Bitquake measures what bit flips in stored weights do to a vision transformer.");
  app.set_version_flag("--version", bitquake::kVersion);
  app.require_subcommand(1);
  bitquake::UseScreenHelp(app);
  bitquake::AddRun(app, session);
  bitquake::AddValidate(app, session);
  bitquake::AddInspect(app, session);
  bitquake::AddSubmit(app, session);
  bitquake::AddList(app, session);
  bitquake::AddShow(app, session);
  bitquake::AddWatch(app, session);
  bitquake::AddControl(app, session);
  bitquake::AddResults(app, session);
  bitquake::AddReport(app, session);
  bitquake::AddProtect(app, session);
  bitquake::AddReplay(app, session);
  bitquake::AddWorkers(app, session);
  bitquake::AddDoctor(app, session);
  bitquake::AddFetchHelp(app, session);
  bitquake::AddSchema(app, session);
  bitquake::AddCompletion(app, session);
  bitquake::AddHelp(app, session);
  bitquake::AddVersion(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // for help or the version
    app.exit(asked);
    return bitquake::kDone;
  } catch (const CLI::ParseError& error) {
    std::cerr << "bitquake: " << bitquake::UsageError(app, error) << "\n";
    return bitquake::kUsage;
  }
  return session.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  bitquake::KeepOpenSsl();
  bitquake::Output output;
  const int code = RunCommand(argc, argv);
  const absl::Status printed = output.Finish();
  if (!printed.ok()) {
    std::cerr << "bitquake: " << printed.message() << "\n";
    return code == bitquake::kDone ? bitquake::kFailed : code;
  }
  return code;
}
