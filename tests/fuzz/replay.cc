// The main of a target where there is no libFuzzer: runs the files that are named, and those of the
// folders that are named, each once.
//
//   tar_index_fuzz FILE-OR-FOLDER...
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "tests/fuzz/must.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace bitquake {
namespace {

using std::filesystem::path;

std::vector<path> FilesOf(int count, char** names) {
  std::vector<path> files;
  for (int i = 0; i < count; ++i) {
    if (!std::filesystem::is_directory(names[i])) {
      files.push_back(names[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(names[i])) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

int Replay(const std::vector<path>& files) {
  for (const path& file : files) {
    const absl::StatusOr<std::string> bytes = ReadFile(file.string());
    if (!bytes.ok()) {
      std::fprintf(stderr, "%s\n", bytes.status().ToString().c_str());
      return 1;
    }
    std::printf("%s\n", file.c_str());
    std::fflush(stdout);  // the last line names the input that a crash is of
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
  }
  std::printf("%zu inputs\n", files.size());
  return files.empty() ? 1 : 0;
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) { return bitquake::Replay(bitquake::FilesOf(argc - 1, argv + 1)); }
