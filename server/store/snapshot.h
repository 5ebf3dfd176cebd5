// What a reader sees: the store as it was at one moment, on a connection of its own, for a bounded
// time.
//
// While a snapshot is open, the WAL cannot begin anew and grows with all that is written. So a
// snapshot ends by itself: after its lifetime, or when the WAL has grown too large.
//
//   ASSIGN_OR_RETURN(Snapshot snapshot, Snapshot::Open(path, &clock));
//   RETURN_IF_ERROR(ReadCells(snapshot.db(), id, [&](const CellResult& cell) { ... }));
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/store/database.h"

namespace bitquake {

struct SnapshotLimits {
  absl::Duration lifetime = absl::Minutes(10);
  int64_t wal_bytes = int64_t{256} << 20;
};

// Thread-compatible, but for Check, which is thread-safe.
class Snapshot {
 public:
  // `clock` must outlive the snapshot. Errors: those of Database::Open; Unavailable while the WAL
  // is too large.
  static absl::StatusOr<Snapshot> Open(const std::string& path, const Clock* clock,
                                       SnapshotLimits limits = {});

  // Its statements end with the error of Check when that has one.
  Database& db() { return db_; }

  // Aborted when the snapshot must end. Who holds it while no statement runs, as when the network
  // is slow, asks at least once a second, and lets go of it.
  absl::Status Check() const { return Check(*bounds_); }

 private:
  struct Bounds {
    std::string path;
    const Clock* clock;
    SnapshotLimits limits;
    absl::Duration end;
  };
  static absl::Status Check(const Bounds& bounds);

  Snapshot(Database db, std::unique_ptr<Bounds> bounds)
      : bounds_(std::move(bounds)), db_(std::move(db)) {}

  std::unique_ptr<const Bounds> bounds_;
  Database db_;
};

}  // namespace bitquake
