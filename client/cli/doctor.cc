#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/child_process.h"
#include "client/cli/command.h"
#include "client/cli/doctor_checks.h"
#include "client/cli/fleet.h"
#include "client/cli/golden_check.h"
#include "client/cli/private_folder.h"
#include "client/cli/published.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/channel/credential_check.h"
#include "common/model/snapshot.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string device = "cpu";
  int threads = 0;
  bool fidelity = false;
  bool golden = false;
  bool allow_torchscript = false;
  std::string published;
  std::string model;
  std::string data;
  std::string cache;
  std::string format = "int8";
  double ber = 1e-5;
  int trials = 10;
  int64_t images = 1000;
  uint64_t seed = 0;
  std::vector<std::string> model_roots;
  std::vector<std::string> data_roots;
  std::function<bool()> server_named;  // on the command line, or in the environment

  bool measures() const { return fidelity || golden; }
};

// One check says that there is none.
std::vector<std::string> RootsOrNone(const std::vector<std::string>& roots) {
  return roots.empty() ? std::vector<std::string>{""} : roots;
}

absl::StatusOr<Json> Request(const Flags& flags) {
  Json request = Json::object();
  if (flags.measures() && (flags.model.empty() || flags.data.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.fidelity ? "--fidelity" : "--golden",
                     " is measured on a model and images of yours: give "
                     "--model FOLDER and --data FOLDER"));
  }
  if (!flags.measures() && !(flags.model.empty() && flags.data.empty())) {
    return absl::InvalidArgumentError(
        "--model and --data are for --golden or --fidelity; say which, or both");
  }
  if (flags.golden) {
    request["golden"] = {{"model", "model"}, {"dataset", "data"}};
  }
  if (flags.fidelity) {
    request["fidelity"] = {{"model", "model"},  {"dataset", "data"},      {"format", flags.format},
                           {"ber", flags.ber},  {"trials", flags.trials}, {"images", flags.images},
                           {"seed", flags.seed}};
  }
  return request;
}

std::string Share(const Json& agreement, const char* part) {
  const auto images = agreement.at("images").get<int64_t>();
  return images == 0 ? "-"
                     : absl::StrFormat("%.3f", 100.0 * agreement.at(part).get<int64_t>() / images);
}

void PrintFidelity(const Json& modes, const Flags& flags) {
  std::cout << absl::StrFormat(
      "predictions that are those of fp32, %s with one scale for each tensor, %d images; under "
      "faults: %d model-wise trials at "
      "BER %g\n%-8s %10s %18s %10s %18s\n",
      flags.format, flags.images, flags.trials, flags.ber, "compute", "golden %", "top-1 % (fp32)",
      "faulty %", "top-1 % (fp32)");
  for (const Json& mode : modes) {
    const Json& golden = mode.at("golden");
    const Json& faulty = mode.at("faulty");
    std::cout << absl::StrFormat(
        "%-8s %10s %18s %10s %18s\n", mode.at("compute").get<std::string>(), Share(golden, "same"),
        absl::StrCat(Share(golden, "top1"), " (", Share(golden, "fp32_top1"), ")"),
        Share(faulty, "same"),
        absl::StrCat(Share(faulty, "top1"), " (", Share(faulty, "fp32_top1"), ")"));
  }
}

// Whether the credentials that a server would be shown are in order.
std::vector<Check> CredentialChecks(const ConnectionOptions& server) {
  std::vector<Check> checks;
  for (const CredentialFinding& finding : CheckCredentials(server, absl::Now())) {
    checks.push_back(
        {finding.path.empty() ? finding.what : absl::StrCat(finding.what, " ", finding.path),
         finding.good ? Check::Verdict::kGood : Check::Verdict::kBad, finding.text, ""});
  }
  return checks;
}

// What a worker here says of its device, and measures if asked to.
absl::StatusOr<Json> AskWorker(const Flags& flags, bool quiet) {
  ASSIGN_OR_RETURN(const Json request, Request(flags));
  ASSIGN_OR_RETURN(const std::string worker, SisterProgram("bitquake-worker"));
  ASSIGN_OR_RETURN(const std::unique_ptr<PrivateFolder> folder, PrivateFolder::Create());
  RETURN_IF_ERROR(WriteFileAtomically(folder->Path("request.json"), request.dump()));
  const std::string outcome = folder->Path("answer.json");
  std::vector<std::string> arguments = {
      "--doctor",  folder->Path("request.json"), "--outcome", outcome, "--device", flags.device,
      "--threads", absl::StrCat(flags.threads)};
  if (flags.allow_torchscript) {
    arguments.emplace_back("--allow-torchscript");
  }
  if (flags.measures()) {
    for (const auto& [flag, path] : {std::pair("--model", flags.model), {"--data", flags.data}}) {
      arguments.insert(
          arguments.end(),
          {flag, absl::StrCat(flag + 2, "=", std::filesystem::absolute(path).string())});
    }
  }
  if (!flags.cache.empty()) {
    arguments.insert(arguments.end(), {"--cache", flags.cache});
  }
  RETURN_IF_ERROR(RunToEnd(worker, arguments, folder->Path("worker.log"), quiet));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(outcome));
  return Json::parse(text);
}

absl::StatusOr<std::vector<PublishedFigure>> Published(const Flags& flags) {
  if (flags.published.empty()) {
    return ParsePublished(PublishedTable(), "published.csv");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.published, 1 << 20));
  return ParsePublished(text, flags.published);
}

// Of what the worker measured.
absl::StatusOr<Check> GoldenCheck(const Flags& flags, const Json& golden) {
  ASSIGN_OR_RETURN(const std::vector<PublishedFigure> table, Published(flags));
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(flags.model));
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(flags.model, error);
  return CheckGolden(folder.filename().string(), snapshot.architecture.preprocessing,
                     {golden.at("images"), golden.at("top1")}, table,
                     flags.published.empty() ? "the built-in table" : flags.published);
}

// What the worker said of the device and of LibTorch, which it is linked to.
Check DeviceCheck(const Flags& flags, const absl::StatusOr<Json>& answer) {
  const std::string subject = absl::StrCat("device ", flags.device);
  if (!answer.ok()) {
    const std::string said(answer.status().message());
    const bool libtorch = absl::StrContains(said, "libtorch") || absl::StrContains(said, "libc10");
    return {subject, Check::Verdict::kBad, said,
            libtorch ? "bash deploy/setup.sh installs LibTorch; BITQUAKE_LIBTORCH names where it is"
                     : "try --device cpu; on a GPU, LibTorch needs its CUDA packages: pip install "
                       "torch==2.11.0, and BITQUAKE_LIBTORCH or the python3 on the PATH has it"};
  }
  std::string finding = answer->at("device_kind").get<std::string>();
  if (answer->contains("memory")) {
    const Json& memory = answer->at("memory");
    absl::StrAppendFormat(&finding, ", %.1f of %.1f GiB used",
                          memory.at("used").get<double>() / (1 << 30),
                          memory.at("total").get<double>() / (1 << 30));
  }
  return {subject, Check::Verdict::kGood, finding, ""};
}

std::vector<Check> Look(const Flags& flags, const absl::StatusOr<Json>& worker,
                        const Session& session) {
  std::vector<Check> checks = {CheckPrograms(), DeviceCheck(flags, worker)};
  const auto add = [&checks](const std::vector<Check>& more) {
    checks.insert(checks.end(), more.begin(), more.end());
  };
  add(CheckGpu(flags.device));
  for (const std::string& root : RootsOrNone(flags.model_roots)) {
    add({CheckModelRoot(root)});
  }
  for (const std::string& root : RootsOrNone(flags.data_roots)) {
    add({CheckDataRoot(root)});
  }
  add(CredentialChecks(session.flags.server));
  if (flags.server_named()) {
    add(CheckServer(session.flags.server.address, session.Connect()->Server()));
  } else {
    add({{"server", Check::Verdict::kUnchecked,
          "not checked: name one with --server; `bitquake run` starts its own", ""}});
  }
  return checks;
}

void PrintChecks(const std::vector<Check>& checks) {
  for (const Check& check : checks) {
    std::cout << absl::StrFormat("%-9s  %s: %s\n", VerdictName(check.verdict), check.subject,
                                 check.finding);
    if (!check.remedy.empty()) {
      std::cout << "           -> " << check.remedy << "\n";
    }
  }
}

// The worker's answer, and the checks.
Json ToJson(const absl::StatusOr<Json>& worker, const std::vector<Check>& checks) {
  Json json = worker.ok() ? *worker : Json::object();
  json["checks"] = Json::array();
  for (const Check& check : checks) {
    json["checks"].push_back({{"subject", check.subject},
                              {"verdict", VerdictName(check.verdict)},
                              {"finding", check.finding},
                              {"remedy", check.remedy}});
  }
  return json;
}

absl::Status Examine(const Flags& flags, Session& session) {
  RETURN_IF_ERROR(Request(flags).status());
  RETURN_IF_ERROR(Published(flags).status());
  const absl::StatusOr<Json> worker = AskWorker(flags, /*quiet=*/session.flags.json);
  if (flags.measures() && !worker.ok()) {
    return worker.status();  // it was asked to measure
  }
  std::vector<Check> checks = Look(flags, worker, session);
  if (flags.golden) {
    ASSIGN_OR_RETURN(checks.emplace_back(), GoldenCheck(flags, worker->at("golden")));
  }
  if (session.flags.json) {
    std::cout << ToJson(worker, checks).dump(2) << "\n";
  } else {
    PrintChecks(checks);
    if (worker.ok() && worker->contains("fidelity")) {
      PrintFidelity(worker->at("fidelity"), flags);
    }
  }
  const auto bad = std::count_if(checks.begin(), checks.end(), [](const Check& check) {
    return check.verdict == Check::Verdict::kBad;
  });
  return bad == 0 ? absl::OkStatus()
                  : absl::FailedPreconditionError(
                        absl::StrCat(bad, bad == 1 ? " check" : " checks",
                                     " found what must be mended; see the lines with 'bad'"));
}

}  // namespace

void AddDoctor(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "doctor", "Check device, driver, folders, server, clocks; say how to mend");
  auto flags = std::make_shared<Flags>();
  AddDeviceFlag(*command, &flags->device);
  AddModelRootFlag(*command, &flags->model_roots);
  AddDataRootFlag(*command, &flags->data_roots);
  command->add_option("--threads", flags->threads, "CPU threads; by default one for each core")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  CLI::Option* fidelity = command->add_flag("--fidelity", flags->fidelity,
                                            "compare predictions of tf32, bf16 and fp16 with fp32");
  // Without FILE, CLI11 gives it what a flag has: "true".
  CLI::Option* golden = command
                            ->add_option_function<std::string>(
                                "--golden",
                                [flags](const std::string& file) {
                                  flags->golden = true;
                                  flags->published = file == "true" ? "" : file;
                                },
                                "compare top-1 with the published figure, or that in FILE")
                            ->expected(0, 1)
                            ->type_name("[FILE]");
  const auto needs = [&](CLI::Option* option) { return option->needs(fidelity); };
  command->add_option("--model", flags->model, "golden, fidelity: the model's folder")
      ->type_name("DIR");
  command->add_option("--data", flags->data, "golden, fidelity: the data set's folder")
      ->type_name("DIR");
  command->add_option("--cache", flags->cache, "golden, fidelity: folder for preprocessed pixels")
      ->type_name("DIR");
  command
      ->add_flag("--allow-torchscript", flags->allow_torchscript,
                 "golden: run a model that comes as code")
      ->needs(golden);
  needs(command->add_option("--format", flags->format, "fidelity: number format of the words"))
      ->capture_default_str();
  needs(command->add_option("--ber", flags->ber, "fidelity: bit-error rate of model-wise trials")
            ->check(CLI::Range(0.0, 1.0))
            ->capture_default_str());
  needs(command->add_option("--trials", flags->trials, "fidelity: trials under faults")
            ->check(CLI::Range(0, 10000))
            ->capture_default_str());
  needs(command->add_option("--images", flags->images, "fidelity: the data set's first ones")
            ->check(CLI::PositiveNumber)
            ->capture_default_str());
  needs(command->add_option("--seed", flags->seed, "fidelity: draws the faults"))
      ->capture_default_str();
  AddServerFlag(*command, session);
  flags->server_named = [command] { return command->get_option("--server")->count() > 0; };
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake doctor --device cuda --model-root models --data-root data");
  command->callback([flags, &session] { session.Finish(Examine(*flags, session)); });
}

}  // namespace bitquake
