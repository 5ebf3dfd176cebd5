#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/child_process.h"
#include "client/cli/command.h"
#include "client/cli/find_folder.h"
#include "client/cli/fleet.h"
#include "client/cli/private_folder.h"
#include "common/base/build_info.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/channel/credential_check.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string device = "cpu";
  int threads = 0;
  bool fidelity = false;
  std::string model;
  std::string data;
  std::string cache;
  std::string format = "int8";
  double ber = 1e-5;
  int trials = 10;
  int64_t images = 1000;
  uint64_t seed = 0;
};

absl::StatusOr<Json> Request(const Flags& flags) {
  if (!flags.fidelity) {
    return Json::object();
  }
  if (flags.model.empty() || flags.data.empty()) {
    return absl::InvalidArgumentError(
        "--fidelity is measured on a model and images of yours: give "
        "--model FOLDER and --data FOLDER");
  }
  return Json{{"fidelity",
               {{"model", "model"},
                {"dataset", "data"},
                {"format", flags.format},
                {"ber", flags.ber},
                {"trials", flags.trials},
                {"images", flags.images},
                {"seed", flags.seed}}}};
}

std::string Share(const Json& agreement, const char* part) {
  const auto images = agreement.at("images").get<int64_t>();
  return images == 0 ? "-"
                     : absl::StrFormat("%.3f", 100.0 * agreement.at(part).get<int64_t>() / images);
}

void Print(const Json& answer, const Flags& flags) {
  std::cout << "bitquake " << kVersion << "\ndevice " << flags.device << ": "
            << answer.at("device_kind").get<std::string>() << "\n";
  if (answer.contains("memory")) {
    const Json& memory = answer.at("memory");
    std::cout << absl::StrFormat("memory: %.1f of %.1f GiB used\n",
                                 memory.at("used").get<double>() / (1 << 30),
                                 memory.at("total").get<double>() / (1 << 30));
  }
  if (!answer.contains("fidelity")) {
    return;
  }
  std::cout << absl::StrFormat(
      "predictions that are those of fp32, %s with one scale for each tensor, %d images; under "
      "faults: %d model-wise trials at "
      "BER %g\n%-8s %10s %18s %10s %18s\n",
      flags.format, flags.images, flags.trials, flags.ber, "compute", "golden %", "top-1 % (fp32)",
      "faulty %", "top-1 % (fp32)");
  for (const Json& mode : answer.at("fidelity")) {
    const Json& golden = mode.at("golden");
    const Json& faulty = mode.at("faulty");
    std::cout << absl::StrFormat(
        "%-8s %10s %18s %10s %18s\n", mode.at("compute").get<std::string>(), Share(golden, "same"),
        absl::StrCat(Share(golden, "top1"), " (", Share(golden, "fp32_top1"), ")"),
        Share(faulty, "same"),
        absl::StrCat(Share(faulty, "top1"), " (", Share(faulty, "fp32_top1"), ")"));
  }
}

Json CredentialsJson(const std::vector<CredentialFinding>& findings) {
  Json list = Json::array();
  for (const CredentialFinding& finding : findings) {
    list.push_back({{"what", finding.what},
                    {"path", finding.path},
                    {"good", finding.good},
                    {"text", finding.text}});
  }
  return list;
}

// What is wrong with the credentials that a server would be shown; OK if nothing is.
absl::Status Verdict(const std::vector<CredentialFinding>& findings) {
  for (const CredentialFinding& finding : findings) {
    if (!finding.good) {
      return absl::FailedPreconditionError(
          absl::StrCat(finding.what, " ", finding.path, ": ", finding.text));
    }
  }
  return absl::OkStatus();
}

absl::Status Examine(const Flags& flags, Session& session) {
  ASSIGN_OR_RETURN(const Json request, Request(flags));
  ASSIGN_OR_RETURN(const std::string worker, SisterProgram("bitquake-worker"));
  ASSIGN_OR_RETURN(const std::unique_ptr<PrivateFolder> folder, PrivateFolder::Create());
  RETURN_IF_ERROR(WriteFileAtomically(folder->Path("request.json"), request.dump()));
  const std::string outcome = folder->Path("answer.json");
  std::vector<std::string> arguments = {
      "--doctor",  folder->Path("request.json"), "--outcome", outcome, "--device", flags.device,
      "--threads", absl::StrCat(flags.threads)};
  if (flags.fidelity) {
    for (const auto& [flag, path] : {std::pair("--model", flags.model), {"--data", flags.data}}) {
      arguments.insert(
          arguments.end(),
          {flag, absl::StrCat(flag + 2, "=", std::filesystem::absolute(path).string())});
    }
  }
  if (!flags.cache.empty()) {
    arguments.insert(arguments.end(), {"--cache", flags.cache});
  }
  RETURN_IF_ERROR(RunToEnd(worker, arguments, folder->Path("worker.log"),
                           /*quiet=*/session.flags.json));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(outcome));
  Json answer = Json::parse(text);
  const std::vector<CredentialFinding> findings =
      CheckCredentials(session.flags.server, absl::Now());
  if (session.flags.json) {
    answer["credentials"] = CredentialsJson(findings);
    std::cout << answer.dump() << "\n";
  } else {
    Print(answer, flags);
    for (const CredentialFinding& finding : findings) {
      std::cout << finding.what << " " << finding.path << ": " << (finding.good ? "" : "BAD: ")
                << finding.text << "\n";
    }
  }
  return Verdict(findings);
}

}  // namespace

void AddDoctor(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "doctor",
      "Say what a worker here computes with, how faithful its compute modes are, and whether the "
      "certificates and the token for a server are in order");
  auto flags = std::make_shared<Flags>();
  AddDeviceFlag(*command, &flags->device);
  command->add_option("--threads", flags->threads, "CPU threads; by default one for each core")
      ->check(CLI::Range(0, 1024));
  CLI::Option* fidelity = command->add_flag(
      "--fidelity", flags->fidelity,
      "compare the predictions of tf32, bf16 and fp16 with those of fp32, with and without faults");
  const auto needs = [&](CLI::Option* option) { return option->needs(fidelity); };
  needs(command->add_option("--model", flags->model, "the model's folder"));
  needs(command->add_option("--data", flags->data, "the data set's folder"));
  needs(command->add_option("--cache", flags->cache, "folder for preprocessed pixels"));
  needs(command->add_option("--format", flags->format)->capture_default_str());
  needs(command->add_option("--ber", flags->ber, "of model-wise trials")
            ->check(CLI::Range(0.0, 1.0))
            ->capture_default_str());
  needs(command->add_option("--trials", flags->trials)
            ->check(CLI::Range(0, 10000))
            ->capture_default_str());
  needs(command->add_option("--images", flags->images, "the data set's first ones")
            ->check(CLI::PositiveNumber)
            ->capture_default_str());
  needs(command->add_option("--seed", flags->seed)->capture_default_str());
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake doctor --device cuda --fidelity --model vit --data imagenet");
  command->callback([flags, &session] { session.Finish(Examine(*flags, session)); });
}

}  // namespace bitquake
