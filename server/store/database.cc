#include "server/store/database.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/row_digest.h"

namespace bitquake {
namespace {

constexpr int kBusyMilliseconds = 10'000;

}  // namespace

bool Row::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
int64_t Row::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Row::Double(int column) const { return sqlite3_column_double(statement_, column); }
std::string Row::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? "" : std::string(static_cast<const char*>(bytes), size);
}

struct Database::Connection {
  sqlite3* handle = nullptr;
  absl::flat_hash_map<std::string, sqlite3_stmt*> statements;
  std::function<absl::Status()> interrupt;
  absl::Status interrupted;
  int wal_pages = 0;

  static int AskInterrupt(void* self) {
    auto* connection = static_cast<Connection*>(self);
    connection->interrupted = connection->interrupt();
    return connection->interrupted.ok() ? 0 : 1;
  }
  static int NoteCommit(void* self, sqlite3*, const char*, int pages) {
    static_cast<Connection*>(self)->wal_pages = pages;
    return SQLITE_OK;
  }

  ~Connection() {
    for (auto& [sql, statement] : statements) {
      sqlite3_finalize(statement);
    }
    sqlite3_close(handle);
  }
};

Database::Database(std::unique_ptr<Connection> connection, std::string path)
    : connection_(std::move(connection)), path_(std::move(path)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

absl::StatusOr<Database> Database::Open(const std::string& path, Mode mode) {
  auto connection = std::make_unique<Connection>();
  const int flags =
      mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  if (mode == Mode::kReadOnly && access(path.c_str(), R_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": no such database"));
  }
  const int code =
      sqlite3_open_v2(path.c_str(), &connection->handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Database db(std::move(connection), path);
  if (code != SQLITE_OK) {
    return db.Error("cannot open");
  }
  sqlite3* handle = db.connection_->handle;
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  if (AddRowDigest(handle) != SQLITE_OK) {
    return db.Error("row_digest");
  }
  if (mode == Mode::kReadWrite) {
    RETURN_IF_ERROR(db.RunScript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; "
        "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536;"));
    // In place of SQLite's own checkpoints at every thousandth page.
    sqlite3_wal_hook(handle, &Connection::NoteCommit, db.connection_.get());
  }
  return db;
}

absl::Status Database::Error(absl::string_view what) const {
  sqlite3* handle = connection_->handle;
  std::string message = absl::StrCat(path_, ": ", what, ": ", sqlite3_errmsg(handle));
  switch (sqlite3_errcode(handle) & 0xff) {  // the primary code of the extended one
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat(message, "; free some space"));
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
      return absl::DataLossError(absl::StrCat(message, kRestoreRemedy));
    case SQLITE_NOTADB:
      return absl::FailedPreconditionError(
          absl::StrCat(message, "; name another file, or, if it was one", kRestoreRemedy));
    case SQLITE_IOERR: {
      const int error = sqlite3_system_errno(handle);
      if (error != 0) {
        absl::StrAppend(&message, " (", std::strerror(error), ")");
      }
      return error == ENOSPC || error == EDQUOT
                 ? absl::ResourceExhaustedError(absl::StrCat(message, "; free some space"))
                 : absl::UnavailableError(message);
    }
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return absl::UnavailableError(message);
    case SQLITE_INTERRUPT:
      return connection_->interrupted.ok() ? absl::CancelledError(message)
                                           : connection_->interrupted;
    case SQLITE_CANTOPEN:
      return absl::NotFoundError(message);
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<sqlite3_stmt*> Database::Prepare(absl::string_view sql, Values values) {
  sqlite3_stmt*& statement = connection_->statements[sql];
  if (statement == nullptr &&
      sqlite3_prepare_v3(connection_->handle, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return Error(sql);
  }
  int index = 0;
  for (const Value& value : values) {
    ++index;
    int code = SQLITE_OK;
    switch (value.kind_) {
      case Value::Kind::kNull:
        code = sqlite3_bind_null(statement, index);
        break;
      case Value::Kind::kInt:
        code = sqlite3_bind_int64(statement, index, value.int_);
        break;
      case Value::Kind::kDouble:
        code = sqlite3_bind_double(statement, index, value.double_);
        break;
      case Value::Kind::kText:
        code = sqlite3_bind_text64(statement, index, value.text_.data(), value.text_.size(),
                                   SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
      case Value::Kind::kBlob:
        code = sqlite3_bind_blob64(statement, index, value.text_.data(), value.text_.size(),
                                   SQLITE_TRANSIENT);
        break;
    }
    if (code != SQLITE_OK) {
      return Error(sql);
    }
  }
  return statement;
}

absl::Status Database::ForEach(absl::string_view sql, Values values,
                               const std::function<absl::Status(const Row&)>& row) {
  ASSIGN_OR_RETURN(sqlite3_stmt * statement, Prepare(sql, values));
  absl::Cleanup reset = [statement] {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  };
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) {
      return absl::OkStatus();
    }
    if (code != SQLITE_ROW) {
      return Error(sql);
    }
    RETURN_IF_ERROR(row(Row(statement)));
  }
}

absl::Status Database::Run(absl::string_view sql, Values values) {
  return ForEach(sql, values, [](const Row&) { return absl::OkStatus(); });
}

absl::StatusOr<std::optional<int64_t>> Database::QueryInt(absl::string_view sql, Values values) {
  std::optional<int64_t> first;
  bool seen = false;
  RETURN_IF_ERROR(ForEach(sql, values, [&](const Row& row) {
    if (!seen && !row.IsNull(0)) {
      first = row.Int(0);
    }
    seen = true;
    return absl::OkStatus();
  }));
  return first;
}

absl::Status Database::RunScript(const std::string& sql) {
  if (sqlite3_exec(connection_->handle, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Error("script");
  }
  return absl::OkStatus();
}

absl::Status Database::InSavepoint(const std::function<absl::Status(Database&)>& steps) {
  RETURN_IF_ERROR(Run("SAVEPOINT steps"));
  const absl::Status status = steps(*this);
  if (!in_transaction()) {
    return status.ok() ? absl::UnavailableError(
                             absl::StrCat(path_, ": SQLite rolled the transaction back; try again"))
                       : status;
  }
  if (!status.ok()) {
    RETURN_IF_ERROR(Run("ROLLBACK TO steps"));
  }
  RETURN_IF_ERROR(Run("RELEASE steps"));
  return status;
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(connection_->handle) == 0; }

int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(connection_->handle); }
int64_t Database::changes() const { return sqlite3_changes64(connection_->handle); }

void Database::SetInterrupt(std::function<absl::Status()> interrupt) {
  constexpr int kInstructionsBetween = 20'000;  // well under a millisecond
  connection_->interrupt = std::move(interrupt);
  sqlite3_progress_handler(connection_->handle, kInstructionsBetween,
                           connection_->interrupt ? &Connection::AskInterrupt : nullptr,
                           connection_.get());
}

absl::Status Database::Checkpoint(CheckpointMode mode) {
  sqlite3* handle = connection_->handle;
  sqlite3_busy_timeout(handle, 0);
  const int code = sqlite3_wal_checkpoint_v2(
      handle, nullptr,
      mode == CheckpointMode::kPassive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE,
      nullptr, nullptr);
  const absl::Status status = code == SQLITE_OK ? absl::OkStatus() : Error("checkpoint");
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  if (status.ok() && mode == CheckpointMode::kTruncate) {
    connection_->wal_pages = 0;
  }
  return status;
}

int64_t Database::wal_pages() const { return connection_->wal_pages; }

sqlite3* Database::handle() const { return connection_->handle; }

}  // namespace bitquake
