// What a data set says of itself: its _info.json.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "tests/fuzz/must.h"
#include "worker/data/tar_split.h"

namespace bitquake {
namespace {

// There while the process is.
struct Folder {
  Folder()
      : path(std::filesystem::temp_directory_path() /
             ("bitquake_fuzz." + std::to_string(getpid()))) {
    std::filesystem::create_directory(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }

  const std::filesystem::path path;
};

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  static const Folder folder;
  std::ofstream(folder.path / kInfoFile) << Text(data, size);
  const auto split = FindTarSplit(folder.path.string());
  if (!split.ok()) {
    Must(absl::IsInvalidArgument(split.status()), "a refusal is the file's fault");
    return 0;
  }
  Must(split->has_value(), "a file that is there is read");
  for (const std::string& file : (*split)->files) {
    const auto path = std::filesystem::path(file).lexically_normal();
    Must(path.is_relative() && *path.begin() != "..", "a shard lies in the folder");
  }
  Must((*split)->shard_lengths.empty() || (*split)->shard_lengths.size() == (*split)->files.size(),
       "each shard has a length, or none has");
  return 0;
}
