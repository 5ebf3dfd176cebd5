// The bytes of a spool file, without the file: what a spool (spool.h) writes and what it finds.
//
//   file   := header record*
//   header := "BQSPOOL\n", version (u32), length (u32), XXH3-64 of both fields and the payload
//             (u64), payload: store, worker and device kind, each a length (u32) and its bytes
//   record := kind (u32: "BQRP" a report, "BQAK" an acknowledgement), length (u32), sequence
//             (i64), XXH3-64 of the payload (u64), XXH3-64 of the fields before (u64), payload
//
// Numbers are little-endian. Records are only ever appended: a report with its bytes, then, when
// the coordinator has it, an acknowledgement without. A file that ends inside a record was torn
// there: its end is not a record. Where a checksum fails, what follows is found by the next record
// whose own checksum holds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// Whose reports a spool holds. Job and lease numbers mean nothing in another store.
struct SpoolOwner {
  std::string store;        // identity of the coordinator's store; empty: not known yet
  std::string worker;       // id
  std::string device_kind;  // that computed them

  bool operator==(const SpoolOwner& other) const {
    return store == other.store && worker == other.worker && device_kind == other.device_kind;
  }
};

// Bytes [begin, end) of a file.
struct SpoolSpan {
  int64_t begin = 0;
  int64_t end = 0;
};

struct SpoolContents {
  SpoolOwner owner;
  std::map<int64_t, std::string> reports;  // not acknowledged, by sequence
  std::vector<SpoolSpan> corrupt;          // whose checksum fails
  int64_t end = 0;                         // of the last record; a torn one follows it, or nothing
  int64_t last_sequence = 0;               // of all records, acknowledged or not
};

std::string SpoolHeader(const SpoolOwner& owner);
std::string SpoolReport(int64_t sequence, absl::string_view report);
std::string SpoolAcknowledgement(int64_t sequence);

// Errors: FailedPrecondition (written by another version), DataLoss (no header, or a corrupt one).
absl::StatusOr<SpoolContents> ParseSpool(absl::string_view bytes);

}  // namespace bitquake
