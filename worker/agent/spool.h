// Reports that the coordinator has not acknowledged, in a file: what was computed survives the
// worker's process, and a coordinator that is away for long.
//
// A report is written before it is sent, so a worker that is killed loses none. Nothing waits for
// the disk but Sync, which the caller asks for where much was computed: after a power loss what was
// not synced is computed again, as what was never reported is. The file lies in a folder of its own
// (DIR/reports; bytes whose checksum fails go to DIR/corrupt), which one process holds at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/agent/spool_file.h"

namespace bitquake {

struct SpoolOptions {
  std::string folder;                       // made if it is not there
  int64_t most_bytes = int64_t{256} << 20;  // unacknowledged; a spool that holds them is full
};

// Thread-compatible.
class Spool {
 public:
  // Takes the folder and reads what an earlier process left. Torn ends are cut off; corrupt records
  // are named in the log, set aside and counted. Errors: AlreadyExists (another process has the
  // folder), FailedPrecondition (a file of another version), those of the file system.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(SpoolOptions options);
  ~Spool();
  Spool(const Spool&) = delete;

  const std::string& folder() const { return options_.folder; }
  // As the file says; empty in a new one.
  const SpoolOwner& owner() const { return owner_; }

  // From now on reports are of `owner`. Errors: FailedPrecondition where it holds another worker's
  // reports, or reports for another store. Reports that another kind of device computed are set
  // aside (DIR/other-device): their jobs are computed again.
  absl::Status Claim(const SpoolOwner& owner);

  // Reports by sequence, as an earlier process left them and Claim allows.
  const std::map<int64_t, std::string>& recovered() const { return recovered_; }
  // The highest sequence of all that was ever appended and is still in the file.
  int64_t last_sequence() const { return last_sequence_; }

  // After an error the report is not in the file, and the file is as before.
  absl::Status Append(int64_t sequence, absl::string_view report);
  // A failure to write is not told: the report is sent twice then.
  void Acknowledge(int64_t sequence);
  absl::Status Sync();

  bool full() const { return live_bytes_ >= options_.most_bytes; }
  int64_t live_bytes() const { return live_bytes_; }  // of reports not acknowledged
  int64_t corrupt_records() const { return corrupt_; }

 private:
  Spool(SpoolOptions options, int lock) : options_(std::move(options)), lock_(lock) {}

  std::string Path(absl::string_view name) const;
  absl::Status Load();
  // The file anew: a header, and what is not acknowledged.
  absl::Status Rewrite();
  absl::Status Write(absl::string_view bytes);
  absl::Status SetAside(absl::string_view bytes, int64_t offset, absl::string_view why);

  const SpoolOptions options_;
  const int lock_;
  int file_ = -1;
  SpoolOwner owner_;
  std::map<int64_t, std::string> recovered_;
  std::map<int64_t, SpoolSpan> live_;  // where reports lie in the file, by sequence
  int64_t size_ = 0;                   // of the file
  int64_t live_bytes_ = 0;
  int64_t last_sequence_ = 0;
  int64_t corrupt_ = 0;
};

}  // namespace bitquake
