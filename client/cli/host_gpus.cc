#include "client/cli/host_gpus.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/find_folder.h"
#include "common/base/file.h"

namespace bitquake {
namespace {

std::string FirstLine(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  return text.ok() ? text->substr(0, text->find('\n')) : "";
}

}  // namespace

std::vector<std::string> HostGpus(const std::string& driver) {
  std::vector<std::string> models;
  // A folder for each GPU, named by its place on the bus.
  for (const std::filesystem::path& folder : FoldersIn(driver + "/gpus")) {
    // "Model: \t NVIDIA H100"
    const std::string line = FirstLine((folder / "information").string());
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    models.push_back(words.size() < 2 ? folder.filename().string()
                                      : absl::StrJoin(words.begin() + 1, words.end(), " "));
  }
  return models;
}

// Of "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release..."
std::string GpuDriverVersion(const std::string& driver) {
  for (const absl::string_view word :
       absl::StrSplit(FirstLine(driver + "/version"), ' ', absl::SkipEmpty())) {
    const std::vector<absl::string_view> parts = absl::StrSplit(word, '.');
    int number;
    if (parts.size() >= 2 && std::all_of(parts.begin(), parts.end(), [&](absl::string_view part) {
          return absl::SimpleAtoi(part, &number);
        })) {
      return std::string(word);
    }
  }
  return "";
}

std::string UnusedGpusText(const std::vector<std::string>& gpus) {
  if (gpus.empty()) {
    return "";
  }
  return absl::StrCat("computes on the CPU; this host has ", absl::StrJoin(gpus, ", "),
                      ": --device cuda",
                      gpus.size() > 1 ? absl::StrCat(" --workers ", gpus.size()) : "");
}

}  // namespace bitquake
