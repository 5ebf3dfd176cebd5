// bitquake: the client.
#include <iostream>

#include "client/cli/command.h"
#include "common/base/build_info.h"

int main(int argc, char** argv) {
  bitquake::Session session;
  CLI::App app(
      "Bitquake measures what bit flips in stored weights do to a vision transformer.\n"
      "Try it: bitquake run deploy/demo/campaign.yaml");
  app.set_version_flag("--version", bitquake::kVersion);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  bitquake::AddRun(app, session);
  bitquake::AddValidate(app, session);
  bitquake::AddSubmit(app, session);
  bitquake::AddList(app, session);
  bitquake::AddShow(app, session);
  bitquake::AddWatch(app, session);
  bitquake::AddControl(app, session);
  bitquake::AddResults(app, session);
  bitquake::AddReport(app, session);
  bitquake::AddProtect(app, session);
  bitquake::AddReplay(app, session);
  bitquake::AddInspect(app, session);
  bitquake::AddWorkers(app, session);
  bitquake::AddDoctor(app, session);
  bitquake::AddSchema(app, session);
  bitquake::AddVersion(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? bitquake::kDone : bitquake::kUsage;
  }
  return session.exit_code;
}
