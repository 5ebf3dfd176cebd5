#include "server/store/store_sizes.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace bitquake {

absl::StatusOr<StoreSizes> SizesOfStore(const std::string& path) {
  std::error_code error;
  StoreSizes sizes;
  sizes.database = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (error) {
    return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  }
  const std::filesystem::space_info disk = std::filesystem::space(path, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  }
  sizes.disk_free = static_cast<int64_t>(disk.available);
  sizes.disk = static_cast<int64_t>(disk.capacity);
  const auto wal = std::filesystem::file_size(path + "-wal", error);
  sizes.wal = error ? 0 : static_cast<int64_t>(wal);
  return sizes;
}

}  // namespace bitquake
