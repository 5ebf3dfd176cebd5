// `run`: the whole system on this host for one campaign: a private coordinator and workers as child
// processes.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/campaign_file.h"
#include "client/cli/command.h"
#include "client/cli/earlier_run.h"
#include "client/cli/fleet.h"
#include "client/cli/forecast.h"
#include "client/cli/host_gpus.h"
#include "client/cli/image_count.h"
#include "client/cli/interruption.h"
#include "client/cli/progress.h"
#include "client/cli/result_files.h"
#include "client/cli/run_directory.h"
#include "common/base/digest.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "common/model/snapshot.h"
#include "common/report/results.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

// While a killed server is started again.
constexpr absl::Duration kPatience = absl::Minutes(2);

struct Flags {
  std::string file;
  std::string out;
  std::string resume;
  std::string device = "cpu";
  std::string like;
  int workers = 1;
  bool device_given = false;
  bool workers_given = false;
  FleetOptions fleet;
  bool allow_torchscript = false;
  std::vector<std::string> model_roots;
  std::vector<std::string> data_roots;
};

// A new name below runs/, for a campaign that was given no --out.
std::string DefaultFolder(const Campaign& campaign) {
  const std::string stem = "runs/" + campaign.name;
  std::error_code error;
  for (int n = 1;; ++n) {
    const std::string folder = absl::StrCat(stem, "-", n);
    if (!fs::exists(folder, error)) {
      return folder;
    }
  }
}

absl::Status CheckCodeAllowed(const LocalCampaign& local, bool allow_torchscript) {
  for (const auto& [name, folder] : local.models) {
    ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(folder));
    const absl::Status allowed = CheckCodeAllowed(snapshot, allow_torchscript);
    if (!allowed.ok()) {
      return absl::InvalidArgumentError(allowed.message());
    }
  }
  return absl::OkStatus();
}

// Before anything starts.
absl::Status TellForecast(const Flags& flags, const LocalCampaign& local) {
  std::optional<EarlierRun> earlier;
  if (!flags.like.empty()) {
    ASSIGN_OR_RETURN(earlier, ReadEarlierRun(flags.like));
  }
  const Forecast forecast =
      MakeForecast(local.campaign, local.cells, static_cast<int>(local.campaign.models.size()),
                   CountImages(local.dataset_folder));
  std::cerr << local.campaign.name << ":\n"
            << ForecastText(local.campaign, forecast, earlier ? &*earlier : nullptr);
  return absl::OkStatus();
}

absl::Status CheckGoesOnAsItBegan(const Flags& flags, const RunState& state) {
  std::string began;
  if (flags.device_given && flags.device != state.device) {
    began = "--device " + state.device;
  } else if (flags.workers_given && flags.workers != state.workers) {
    began = absl::StrCat("--workers ", state.workers);
  }
  return began.empty() ? absl::OkStatus()
                       : absl::InvalidArgumentError(absl::StrCat(
                             flags.resume, " began with ", began,
                             " and goes on so; leave that out, or begin another run with --out"));
}

// A run on the CPU by default, where GPUs would be faster.
void TellUnusedGpus(const Flags& flags) {
  const std::string text = UnusedGpusText(HostGpus());
  if (!flags.device_given && !text.empty()) {
    std::cerr << text << "\n";
  }
}

absl::StatusOr<RunDirectory> OpenRunDirectory(const Flags& flags) {
  if (!flags.resume.empty()) {
    ASSIGN_OR_RETURN(RunDirectory run, RunDirectory::Open(flags.resume));
    RETURN_IF_ERROR(CheckGoesOnAsItBegan(flags, run.state()));
    return run;
  }
  ASSIGN_OR_RETURN(const CampaignFile file, ReadCampaignFile(flags.file));
  ASSIGN_OR_RETURN(const LocalCampaign local,
                   ResolveLocally(file, flags.model_roots, flags.data_roots));
  RETURN_IF_ERROR(CheckCodeAllowed(local, flags.allow_torchscript));
  RETURN_IF_ERROR(TellForecast(flags, local));
  TellUnusedGpus(flags);
  RunState state;
  state.request_id = RandomHex() + RandomHex();
  state.campaign_json = ToJson(local.campaign);
  state.file_digest = Sha256Hex(file.text);
  state.models = local.models;
  state.dataset = local.campaign.dataset;
  state.dataset_folder = local.dataset_folder;
  state.workers = flags.workers;
  state.device = flags.device;
  state.allow_torchscript = flags.allow_torchscript;
  return RunDirectory::Create(flags.out.empty() ? DefaultFolder(local.campaign) : flags.out, file,
                              state);
}

absl::Status ResumeIfPaused(Client& client, const std::string& id) {
  ASSIGN_OR_RETURN(const CampaignStatus now, client.Get(id));
  return now.state == "paused" ? client.Resume(id).status() : absl::OkStatus();
}

absl::Status Run(const Flags& flags, Session& session) {
  BlockTerminationSignals();
  ASSIGN_OR_RETURN(RunDirectory run, OpenRunDirectory(flags));
  ASSIGN_OR_RETURN(const std::string address, run.SocketAddress());
  const std::string how_to_resume =
      absl::StrCat("go on with: bitquake run --resume ", run.folder());
  std::cerr << "run directory: " << run.folder() << "\n";
  if (run.CampaignFileChanged()) {
    std::cerr << run.folder() << "/campaign.yaml was edited since this run began, which goes on as "
              << "it began; to run the file as it is now: bitquake run " << run.folder()
              << "/campaign.yaml --out DIR\n";
  }

  CampaignStatus last;
  absl::StatusOr<CampaignResults> results = absl::UnknownError("no results");
  {
    // Ends after the client: a coordinator that stops waits for connections to be closed.
    Fleet fleet;
    const std::shared_ptr<Client> client = Client::Connect(address, {kPatience});
    const auto progress = std::make_shared<Progress>();
    // After the second Ctrl-C its children end with it, and what was acknowledged is on disk.
    const std::shared_ptr<Interruption> interruption = Interruption::Await(
        client,
        [progress] {
          progress->Note("stopping: workers hand back what they hold (Ctrl-C again: at once)");
        },
        "interrupted; " + how_to_resume);
    FleetHooks hooks;
    hooks.died = [progress](const std::string& what) {
      progress->Note(what + "; starting it again");
    };
    hooks.given_up = [interruption](const absl::Status& status) { interruption->Raise(status); };
    hooks.waits = [progress, told = false]() mutable {
      if (!std::exchange(told, true)) {
        progress->Note("waiting for the processes of the run before");
      }
    };
    hooks.stopped = [interruption] { return !interruption->status().ok(); };
    const absl::Status started = fleet.Start(run, address, flags.fleet, hooks);
    if (!started.ok()) {
      return absl::Status(started.code(), absl::StrCat(started.message(), "; ", how_to_resume));
    }
    ASSIGN_OR_RETURN(const std::string id,
                     client->Submit(run.state().campaign_json, "campaign", run.state().request_id));
    if (!flags.resume.empty()) {
      RETURN_IF_ERROR(ResumeIfPaused(*client, id));
    }
    const absl::Status watched = client->Watch(id, [&](const CampaignStatus& now) {
      if (now.state == "paused" && !now.error.empty()) {
        interruption->Raise(absl::AbortedError(now.error));
        return;
      }
      progress->Show(now);
      last = now;
    });
    if (!watched.ok()) {
      progress->EndLine();
      const absl::Status interrupted = interruption->status();
      const absl::Status& why = interrupted.ok() ? watched : interrupted;
      return absl::Status(
          why.code() == absl::StatusCode::kUnavailable ? absl::StatusCode::kAborted : why.code(),
          absl::StrCat(why.message(), "; ", how_to_resume));
    }
    results = client->Results(id, /*details=*/true);
    progress->EndLine();
  }
  RETURN_IF_ERROR(results.status());
  results->of_run_directory = true;
  RETURN_IF_ERROR(WriteResultFiles(run.folder(), *results).status());
  if (session.flags.json) {
    std::cout << CellsJson(results->cells, DerivationOf(*results)) << "\n";
  } else if (!results->cells.empty()) {
    ASSIGN_OR_RETURN(const std::string tables, ResultTables(*results));
    std::cout << tables << SavingsLine(results->status) << "\n"
              << "results: " << run.folder() << "\n"
              << "report: " << run.folder() << "/report.html\n";
  }
  session.FinishCampaign(last);
  return absl::OkStatus();
}

}  // namespace

void AddRun(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("run", "Run a campaign on this host, start to end");
  auto flags = std::make_shared<Flags>();
  CLI::Option* file = command->add_option("FILE", flags->file, "campaign file");
  CLI::Option* out =
      command->add_option("--out", flags->out, "run directory to make; by default runs/NAME-<n>")
          ->type_name("DIR");
  CLI::Option* resume =
      command->add_option("--resume", flags->resume, "go on with the run in this directory")
          ->type_name("DIR")
          ->excludes(file)
          ->excludes(out);
  command->add_option("--workers", flags->workers, "worker processes; they share the cores")
      ->type_name("N")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  AddDeviceFlag(*command, &flags->device);
  AddModelRootFlag(*command, &flags->model_roots);
  AddDataRootFlag(*command, &flags->data_roots);
  command
      ->add_flag("--allow-torchscript", flags->allow_torchscript,
                 "run models that come as code, with your rights")
      ->excludes(resume);
  command->add_option("--cache", flags->fleet.cache, "folder for preprocessed pixels")
      ->type_name("DIR");
  command->add_option("--like", flags->like, "earlier run, to take speed and deviations from")
      ->type_name("DIR")
      ->excludes(resume);
  command
      ->add_option("--lease-work-seconds", flags->fleet.lease_work_seconds,
                   "work that a worker takes at a time")
      ->type_name("S")
      ->check(CLI::Range(0.0, 86400.0))  // as the server's
      ->capture_default_str();
  command
      ->add_option("--max-lease-jobs", flags->fleet.max_lease_jobs, "most jobs it takes at a time")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake run campaign.yaml --out runs/first");
  command->callback([flags, command, &session] {
    flags->device_given = command->count("--device") > 0;
    flags->workers_given = command->count("--workers") > 0;
    if (flags->file.empty() == flags->resume.empty()) {
      session.Finish(absl::InvalidArgumentError(
          "run needs a campaign file, or --resume DIR; see `bitquake run --help`"));
      return;
    }
    session.Finish(Run(*flags, session));
  });
}

}  // namespace bitquake
