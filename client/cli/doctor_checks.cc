#include "client/cli/doctor_checks.h"

#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/find_folder.h"
#include "client/cli/fleet.h"
#include "client/cli/host_gpus.h"
#include "client/cli/image_count.h"
#include "common/base/build_info.h"
#include "common/model/snapshot.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;
using Verdict = Check::Verdict;

// The first driver for the CUDA that LibTorch 2.11's packages bring.
constexpr int kOldestDriver = 580;
constexpr absl::Duration kClockTolerance = absl::Seconds(2);

// What stands in the way of looking into a root; none if nothing does.
std::optional<Check> Unreadable(const Check& check, const std::string& root,
                                const std::string& flag) {
  Check found = check;
  std::error_code error;
  if (root.empty()) {
    found.verdict = Verdict::kUnchecked;
    found.finding = absl::StrCat("not checked: name a folder with ", flag);
    return found;
  }
  fs::directory_iterator at(root, error);
  if (error) {
    found.verdict = Verdict::kBad;
    found.finding = absl::StrCat(root, ": ", error.message());
    found.remedy = absl::StrCat("make the folder readable, or name another with ", flag);
    return found;
  }
  return std::nullopt;
}

std::string Several(size_t count, const std::string& one) {
  return absl::StrCat(count, " ", one, count == 1 ? "" : "s");
}

}  // namespace

std::string VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "good";
    case Verdict::kUnchecked:
      return "unchecked";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kBad:
      break;
  }
  return "bad";
}

Check CheckPrograms() {
  for (const char* name : {"bitquake-server", "bitquake-worker"}) {
    const absl::StatusOr<std::string> program = SisterProgram(name);
    if (!program.ok()) {
      return {"programs", Verdict::kBad, std::string(program.status().message()),
              "build all three with deploy/build.sh, or unpack the bundle whole"};
    }
  }
  return {"programs", Verdict::kGood,
          absl::StrCat("bitquake ", kVersion, ", its server and its worker"), ""};
}

std::vector<Check> CheckGpu(const std::string& device) {
  const bool needed = absl::StartsWith(device, "cuda");
  const std::vector<std::string> models = HostGpus();
  const std::string version = GpuDriverVersion();
  if (models.empty() && version.empty()) {
    return {{"gpu", needed ? Verdict::kBad : Verdict::kUnchecked,
             needed ? absl::StrCat("no NVIDIA GPU is seen, and --device is ", device)
                    : "no NVIDIA GPU is seen; none is needed on the CPU",
             needed
                 ? absl::StrCat("install NVIDIA's driver, ", kOldestDriver,
                                " or newer; in a container, give it the GPU; or use --device cpu")
                 : ""}};
  }
  std::vector<Check> checks;
  checks.push_back(
      {"gpu", models.empty() && needed ? Verdict::kBad : Verdict::kGood,
       models.empty() ? "none that the driver knows" : absl::StrJoin(models, ", "),
       models.empty() ? "see what the kernel says of it: dmesg | grep -i nvidia" : ""});
  int major = 0;
  const bool old =
      absl::SimpleAtoi(version.substr(0, version.find('.')), &major) && major < kOldestDriver;
  checks.push_back({"driver", old ? (needed ? Verdict::kBad : Verdict::kWarning) : Verdict::kGood,
                    version.empty() ? "version unknown" : version,
                    old ? absl::StrCat("LibTorch's CUDA needs driver ", kOldestDriver,
                                       " or newer; update NVIDIA's driver")
                        : ""});
  return checks;
}

Check CheckModelRoot(const std::string& root) {
  Check check = {"models", Verdict::kGood, "", ""};
  if (const auto found = Unreadable(check, root, "--model-root")) {
    return *found;
  }
  size_t models = 0;
  std::vector<std::string> broken;
  for (const fs::path& folder : FoldersIn(root)) {
    const absl::StatusOr<ModelSnapshot> snapshot = OpenSnapshot(folder.string());
    models += snapshot.ok() ? 1 : 0;
    if (!snapshot.ok()) {
      broken.emplace_back(snapshot.status().message());
    }
  }
  check.finding = absl::StrCat(root, ": ", Several(models, "model"));
  if (!broken.empty()) {
    check.verdict = models == 0 ? Verdict::kBad : Verdict::kWarning;
    absl::StrAppend(&check.finding, ", ", Several(broken.size(), "folder"),
                    " that cannot be used: ", broken[0]);
    check.remedy = "fetch config.json and model.safetensors again, or move the folder elsewhere";
  } else if (models == 0) {
    check.verdict = Verdict::kBad;
    check.remedy =
        "put each model into a folder of its own below it: config.json and model.safetensors";
  }
  return check;
}

Check CheckDataRoot(const std::string& root) {
  Check check = {"data", Verdict::kGood, "", ""};
  if (const auto found = Unreadable(check, root, "--data-root")) {
    return *found;
  }
  std::vector<std::string> sets;
  std::vector<std::string> others;
  for (const fs::path& folder : FoldersIn(root)) {
    const std::string name = folder.filename().string();
    if (const std::optional<int64_t> images = CountImages(folder.string())) {
      sets.push_back(absl::StrCat(name, " (", *images, " images)"));
    } else {
      others.push_back(name);
    }
  }
  check.finding = absl::StrCat(
      root, ": ", sets.empty() ? "no data set" : absl::StrJoin(sets, ", "),
      others.empty() ? "" : absl::StrCat("; no images counted in ", absl::StrJoin(others, ", ")));
  if (sets.empty() || !others.empty()) {
    check.verdict = sets.empty() ? Verdict::kBad : Verdict::kWarning;
    check.remedy =
        "a data set is a folder below it: tars with their _info.json, or a folder of "
        "images for each class";
  }
  return check;
}

std::vector<Check> CheckServer(const std::string& address,
                               const absl::StatusOr<ServerStatus>& server) {
  if (!server.ok()) {
    return {{"server", Verdict::kBad, std::string(server.status().message()),
             "start one: bitquake-server --db bitquake.db; or name where it is with --server"}};
  }
  const std::string version = server->version.empty() ? "unknown, an older one" : server->version;
  Check answer = {
      "server", Verdict::kGood,
      absl::StrCat(address, " answers in ",
                   absl::StrFormat("%.1f ms", absl::ToDoubleMilliseconds(server->round_trip)),
                   ", version ", version, ", ", Several(server->workers, "worker")),
      ""};
  if (server->version != kVersion) {
    answer.verdict = Verdict::kWarning;
    answer.remedy = absl::StrCat("this is ", kVersion, "; install the same version on both");
  } else if (server->workers == 0) {
    answer.verdict = Verdict::kWarning;
    answer.remedy = absl::StrCat("nothing is computed before one starts: bitquake-worker --server ",
                                 address, " --model-root DIR --data-root DIR");
  }
  if (server->version.empty()) {
    return {answer};  // such a server does not tell the time
  }
  const absl::Duration ahead = server->clock_ahead;
  Check clock = {"clock", Verdict::kGood,
                 absl::StrFormat("the server's is %.2f s %s this one (+-%.2f s)",
                                 std::abs(absl::ToDoubleSeconds(ahead)),
                                 ahead < absl::ZeroDuration() ? "behind" : "ahead of",
                                 absl::ToDoubleSeconds(server->round_trip) / 2),
                 ""};
  if (absl::AbsDuration(ahead) > kClockTolerance + server->round_trip / 2) {
    clock.verdict = Verdict::kWarning;
    clock.remedy = "let NTP set both: timedatectl set-ntp true; logs and certificates depend on it";
  }
  return {answer, clock};
}

}  // namespace bitquake
