// SQLite with statuses: one connection, prepared statements kept, values bound by type.
//
//   RETURN_IF_ERROR(db.Run("UPDATE jobs SET state = ? WHERE id = ?", {"ready", job}));
//   RETURN_IF_ERROR(db.ForEach("SELECT id, name FROM campaigns", {}, [&](const Row& row) {
//     names[row.Int(0)] = row.Text(1);
//     return absl::OkStatus();
//   }));
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bitquake {

// Bytes, stored as a BLOB. Not owned.
struct Blob {
  absl::string_view bytes;
};

// How to go on without a damaged file; ends a sentence of an error.
inline constexpr char kRestoreRemedy[] =
    "; move it away and restore a backup: bitquake-server --restore BACKUP --db NEW";

// A value to bind; text and blobs are not owned and must outlive the call.
class Value {
 public:
  Value(std::nullptr_t) : kind_(Kind::kNull) {}
  Value(bool v) : kind_(Kind::kInt), int_(v ? 1 : 0) {}
  Value(int v) : kind_(Kind::kInt), int_(v) {}
  Value(uint32_t v) : kind_(Kind::kInt), int_(v) {}
  Value(int64_t v) : kind_(Kind::kInt), int_(v) {}
  Value(double v) : kind_(Kind::kDouble), double_(v) {}
  Value(absl::string_view v) : kind_(Kind::kText), text_(v) {}
  Value(const std::string& v) : kind_(Kind::kText), text_(v) {}
  Value(const char* v) : kind_(Kind::kText), text_(v) {}
  Value(Blob v) : kind_(Kind::kBlob), text_(v.bytes) {}

 private:
  friend class Database;
  enum class Kind { kNull, kInt, kDouble, kText, kBlob };
  Kind kind_;
  int64_t int_ = 0;
  double double_ = 0;
  absl::string_view text_;
};

using Values = std::initializer_list<Value>;

// The current row of a query; columns count from 0.
class Row {
 public:
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;  // also blobs

 private:
  friend class Database;
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  sqlite3_stmt* statement_;
};

// Thread-compatible: one thread at a time.
class Database {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Opens (kReadWrite: creates) a file, in WAL mode with synchronous=FULL and foreign keys on. The
  // WAL is written back by Checkpoint alone, and by closing. Errors: NotFound, FailedPrecondition
  // (not a database), and as of Run.
  static absl::StatusOr<Database> Open(const std::string& path, Mode mode);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  const std::string& path() const { return path_; }

  // Errors of all calls: ResourceExhausted (disk or quota full, no memory), DataLoss (damaged
  // file), Unavailable (busy, I/O), AlreadyExists (a constraint), Internal.
  absl::Status Run(absl::string_view sql, Values values = {});
  absl::Status ForEach(absl::string_view sql, Values values,
                       const std::function<absl::Status(const Row&)>& row);
  // The first column of the first row as a number; empty if there is no row or it is NULL.
  absl::StatusOr<std::optional<int64_t>> QueryInt(absl::string_view sql, Values values = {});
  // Several statements, none prepared ahead: for schemas and PRAGMAs.
  absl::Status RunScript(const std::string& sql);

  // Runs `steps` in a savepoint: if they fail, they leave no trace. The error of the steps, or of
  // the savepoint.
  absl::Status InSavepoint(const std::function<absl::Status(Database&)>& steps);
  // False also when SQLite has rolled a transaction back by itself, as it may when the disk is
  // full.
  bool in_transaction() const;

  int64_t last_insert_id() const;
  int64_t changes() const;  // rows that the last Run changed

  // Asked now and then while a statement runs; an error ends the statement, and is its error.
  void SetInterrupt(std::function<absl::Status()> interrupt);

  // Writes the WAL back to the file, as far as readers allow, without waiting for any; kTruncate:
  // and empties it. Errors: as of Run; Unavailable if kTruncate met a reader.
  enum class CheckpointMode { kPassive, kTruncate };
  absl::Status Checkpoint(CheckpointMode mode);
  // Pages in the WAL after this connection's last commit.
  int64_t wal_pages() const;

  sqlite3* handle() const;  // for this folder alone

 private:
  struct Connection;
  explicit Database(std::unique_ptr<Connection> connection, std::string path);
  absl::StatusOr<sqlite3_stmt*> Prepare(absl::string_view sql, Values values);
  absl::Status Error(absl::string_view what) const;

  std::unique_ptr<Connection> connection_;
  std::string path_;
};

}  // namespace bitquake
