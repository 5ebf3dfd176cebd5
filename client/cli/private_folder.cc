#include "client/cli/private_folder.h"

#include <stdlib.h>

#include <filesystem>

#include "common/base/status.h"

namespace bitquake {

namespace fs = std::filesystem;

absl::StatusOr<std::unique_ptr<PrivateFolder>> PrivateFolder::Create() {
  std::string name = (fs::temp_directory_path() / "bitquake-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    return ErrnoStatus(name);
  }
  return std::unique_ptr<PrivateFolder>(new PrivateFolder(std::move(name)));
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace bitquake
