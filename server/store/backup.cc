#include "server/store/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "server/store/check.h"
#include "server/store/database.h"
#include "server/store/migrations.h"

namespace bitquake {
namespace {

// SQLite keeps these beside a file of its own.
constexpr const char* kBeside[] = {"-wal", "-shm", "-journal"};

void Remove(const std::string& path) {
  unlink(path.c_str());
  for (const char* suffix : kBeside) {
    unlink((path + suffix).c_str());
  }
}

absl::Status Sync(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoStatus(path);
  }
  absl::Cleanup close_it = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : ErrnoStatus(path);
}

// Gives the finished file its name, unless something has that already.
absl::Status Publish(const std::string& partial, const std::string& path) {
  RETURN_IF_ERROR(Sync(partial, O_RDWR));
  if (link(partial.c_str(), path.c_str()) == 0) {
    unlink(partial.c_str());
  } else if (errno == EEXIST ||
             renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
    return ErrnoStatus(path);
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return Sync(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
}

absl::Status CopyPages(const std::string& from_path, const std::string& to_path) {
  ASSIGN_OR_RETURN(Database from, Database::Open(from_path, Database::Mode::kReadOnly));
  // One snapshot for all of it: a writer neither changes nor restarts the copy.
  RETURN_IF_ERROR(from.Run("BEGIN"));
  RETURN_IF_ERROR(from.QueryInt("SELECT count(*) FROM sqlite_schema").status());
  sqlite3* to = nullptr;
  absl::Cleanup close_it = [&to] { sqlite3_close(to); };
  const auto error = [&](int code) {
    const std::string what =
        absl::StrCat(to_path, ": cannot copy ", from_path, ": ",
                     to == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(to));
    switch (code & 0xff) {
      case SQLITE_FULL:
        return absl::ResourceExhaustedError(absl::StrCat(what, "; free some space"));
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return absl::DataLossError(what);
      default:
        return absl::UnavailableError(what);
    }
  };
  int code =
      sqlite3_open_v2(to_path.c_str(), &to,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    return error(code);
  }
  sqlite3_backup* backup = sqlite3_backup_init(to, "main", from.handle(), "main");
  if (backup == nullptr) {
    return error(sqlite3_errcode(to));
  }
  sqlite3_backup_step(backup, -1);
  code = sqlite3_backup_finish(backup);
  return code == SQLITE_OK ? absl::OkStatus() : error(code);
}

absl::Status DamagedBy(const std::string& path, const std::vector<std::string>& findings) {
  return absl::DataLossError(absl::StrCat(path, ": is damaged: ", absl::StrJoin(findings, "; ")));
}

// A number so far from those in use that no store that went on after the backup has come there,
// nor another one that was restored from it.
absl::StatusOr<int64_t> FreshNumbers(int64_t used) {
  constexpr int kBits = 32;  // more than a store gives away between two restores
  std::random_device random;
  const int64_t block = (used >> kBits) + 1 + static_cast<int64_t>(random() & 0xffffff);
  if (block >= int64_t{1} << (62 - kBits)) {
    return absl::ResourceExhaustedError(
        "this store was restored so often that no numbers are left for its jobs");
  }
  return block << kBits;
}

absl::Status MakeAnother(Database& db) {
  RETURN_IF_ERROR(db.Run("UPDATE jobs SET state = 'ready', lease = NULL WHERE state = 'leased'"));
  RETURN_IF_ERROR(db.Run("DELETE FROM leases"));
  RETURN_IF_ERROR(
      db.Run("UPDATE batches SET ready = (SELECT count(*) FROM jobs WHERE batch = batches.id AND "
             "state = 'ready')"));
  ASSIGN_OR_RETURN(const auto used,
                   db.QueryInt("SELECT max(seq) FROM sqlite_sequence WHERE name IN ('jobs', "
                               "'leases')"));
  ASSIGN_OR_RETURN(const int64_t fresh, FreshNumbers(used.value_or(0)));
  for (const char* table : {"jobs", "leases"}) {
    RETURN_IF_ERROR(db.Run("DELETE FROM sqlite_sequence WHERE name = ?", {table}));
    RETURN_IF_ERROR(
        db.Run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", {table, fresh}));
  }
  return db.Run("UPDATE store SET identity = lower(hex(randomblob(16))), restores = restores + 1");
}

absl::Status MakeAnotherOf(const std::string& path) {
  ASSIGN_OR_RETURN(Database db, Database::Open(path, Database::Mode::kReadWrite));
  RETURN_IF_ERROR(Migrate(db));
  ASSIGN_OR_RETURN(const std::vector<std::string> findings, CheckStore(db));
  if (!findings.empty()) {
    return DamagedBy(path, findings);
  }
  RETURN_IF_ERROR(db.Run("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(MakeAnother(db));
  RETURN_IF_ERROR(db.Run("COMMIT"));
  return db.Checkpoint(Database::CheckpointMode::kTruncate);
}

}  // namespace

absl::Status Backup(const std::string& database, const std::string& file) {
  if (std::filesystem::exists(file)) {
    return absl::AlreadyExistsError(
        absl::StrCat(file, ": exists already; name a new file for the backup"));
  }
  const std::string partial = file + ".partial";
  Remove(partial);
  absl::Cleanup remove = [&] { Remove(partial); };
  RETURN_IF_ERROR(CopyPages(database, partial));
  {
    // Without a WAL it is one file, readable where nothing can be written.
    ASSIGN_OR_RETURN(Database copy, Database::Open(partial, Database::Mode::kReadWrite));
    RETURN_IF_ERROR(copy.RunScript("PRAGMA journal_mode = DELETE"));
    ASSIGN_OR_RETURN(const std::vector<std::string> findings, CheckPages(copy));
    if (!findings.empty()) {
      return DamagedBy(database, findings);
    }
  }
  return Annotate(Publish(partial, file), "backup");
}

absl::Status Restore(const std::string& file, const std::string& database) {
  for (const char* suffix : {"", "-wal", "-journal"}) {
    if (std::filesystem::exists(database + suffix)) {
      return absl::AlreadyExistsError(
          absl::StrCat(database, suffix,
                       ": exists already; a backup is restored to a new file: "
                       "move this one away, or name another with --db"));
    }
  }
  const std::string partial = database + ".partial";
  Remove(partial);
  absl::Cleanup remove = [&] { Remove(partial); };
  RETURN_IF_ERROR(CopyPages(file, partial));
  RETURN_IF_ERROR(Annotate(MakeAnotherOf(partial), absl::StrCat("restoring ", file)));
  return Publish(partial, database);
}

}  // namespace bitquake
