#include "server/store/snapshot.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

int64_t WalBytes(const std::string& path) {
  std::error_code error;
  const uintmax_t bytes = std::filesystem::file_size(path + "-wal", error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

}  // namespace

absl::StatusOr<Snapshot> Snapshot::Open(const std::string& path, const Clock* clock,
                                        SnapshotLimits limits) {
  ASSIGN_OR_RETURN(Database db, Database::Open(path, Database::Mode::kReadOnly));
  if (WalBytes(path) > limits.wal_bytes) {
    return absl::UnavailableError(
        absl::StrCat(path, ": the server is writing back a large log; try again in a moment"));
  }
  RETURN_IF_ERROR(db.Run("BEGIN"));
  auto bounds =
      std::make_unique<Bounds>(Bounds{path, clock, limits, clock->Monotonic() + limits.lifetime});
  db.SetInterrupt([bounds = bounds.get()] { return Check(*bounds); });
  return Snapshot(std::move(db), std::move(bounds));
}

absl::Status Snapshot::Check(const Bounds& bounds) {
  if (bounds.clock->Monotonic() >= bounds.end) {
    return absl::AbortedError(absl::StrCat(
        "reading took longer than ", absl::FormatDuration(bounds.limits.lifetime),
        ", for which a view of the store is kept; read less at a time, or over a faster network"));
  }
  if (WalBytes(bounds.path) > bounds.limits.wal_bytes) {
    return absl::AbortedError(
        "so much was written to the store while this was read that the view of it was given up; "
        "try again, or over a faster network");
  }
  return absl::OkStatus();
}

}  // namespace bitquake
