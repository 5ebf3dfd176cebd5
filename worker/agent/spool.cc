#include "worker/agent/spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

// Below this much a file is not worth writing anew.
constexpr int64_t kLeastToCompact = 1 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(SpoolOptions options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("spool ", options.folder, ": ", error.message()));
  }
  const std::string path = options.folder + "/lock";
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return ErrnoStatus(path);
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return absl::AlreadyExistsError(
        absl::StrCat("spool ", options.folder,
                     ": another bitquake-worker uses it; name another folder with --spool"));
  }
  std::unique_ptr<Spool> spool(new Spool(std::move(options), lock));
  RETURN_IF_ERROR(spool->Load());
  return spool;
}

Spool::~Spool() {
  if (file_ >= 0) {
    close(file_);
  }
  close(lock_);
}

std::string Spool::Path(absl::string_view name) const {
  return absl::StrCat(options_.folder, "/", name);
}

absl::Status Spool::Load() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, error)) {
    if (absl::StartsWith(entry.path().filename().string(), "reports.tmp.")) {
      std::filesystem::remove(entry.path(), error);  // of a process that was killed
    }
  }
  if (!std::filesystem::exists(Path("reports"), error)) {
    return Rewrite();
  }
  {
    ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(Path("reports")));
    absl::StatusOr<SpoolContents> contents = ParseSpool(file.bytes());
    if (absl::IsFailedPrecondition(contents.status())) {
      return Annotate(contents.status(), Path("reports"));
    }
    if (!contents.ok()) {
      if (!file.bytes().empty()) {
        RETURN_IF_ERROR(SetAside(file.bytes(), 0, contents.status().message()));
      }
      return Rewrite();
    }
    for (const SpoolSpan& span : contents->corrupt) {
      RETURN_IF_ERROR(SetAside(file.bytes().substr(span.begin, span.end - span.begin), span.begin,
                               "its checksum fails"));
    }
    if (const auto torn = static_cast<int64_t>(file.bytes().size()) - contents->end; torn > 0) {
      spdlog::warn("{}: the last {} bytes are a torn record; cut off", Path("reports"), torn);
    }
    owner_ = std::move(contents->owner);
    recovered_ = std::move(contents->reports);
    last_sequence_ = contents->last_sequence;
  }
  return Rewrite();
}

absl::Status Spool::SetAside(absl::string_view bytes, int64_t offset, absl::string_view why) {
  ++corrupt_;
  const std::string path = Path("corrupt");
  spdlog::error("{}: {} bytes from {} on: {}; not sent, kept in {}", Path("reports"), bytes.size(),
                offset, std::string(why), path);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    return ErrnoStatus(path);
  }
  const absl::Status written = WriteAll(fd, bytes, path);
  close(fd);
  return written;
}

absl::Status Spool::Rewrite() {
  // What is live is read from the old file, if this process has one; else it was recovered.
  std::string bytes = SpoolHeader(owner_);
  std::map<int64_t, SpoolSpan> live;
  const auto add = [&](int64_t sequence, absl::string_view record) {
    const auto begin = static_cast<int64_t>(bytes.size());
    absl::StrAppend(&bytes, record);
    live[sequence] = {begin, static_cast<int64_t>(bytes.size())};
  };
  if (file_ < 0) {
    for (const auto& [sequence, report] : recovered_) {
      add(sequence, SpoolReport(sequence, report));
    }
  } else if (!live_.empty()) {
    ASSIGN_OR_RETURN(const MappedFile old, MappedFile::Open(Path("reports")));
    for (const auto& [sequence, span] : live_) {
      add(sequence, old.bytes().substr(span.begin, span.end - span.begin));
    }
  }
  RETURN_IF_ERROR(WriteFileAtomically(Path("reports"), bytes));
  const int file = open(Path("reports").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0) {
    return ErrnoStatus(Path("reports"));
  }
  if (file_ >= 0) {
    close(file_);
  }
  file_ = file;
  live_ = std::move(live);
  size_ = static_cast<int64_t>(bytes.size());
  live_bytes_ = size_ - static_cast<int64_t>(SpoolHeader(owner_).size());
  return absl::OkStatus();
}

absl::Status Spool::Claim(const SpoolOwner& owner) {
  if (owner == owner_) {
    return absl::OkStatus();
  }
  const bool others = (!owner_.store.empty() && owner.store != owner_.store) ||
                      (!owner_.worker.empty() && owner.worker != owner_.worker);
  if (others && !live_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "spool ", options_.folder, " holds ", live_.size(), " reports of worker '", owner_.worker,
        "' for the database ", owner_.store, ", not of '", owner.worker, "' for ", owner.store,
        "; start that worker on its server to deliver them, name another folder with --spool, or "
        "delete this one: then their jobs are computed again"));
  }
  if (owner.device_kind != owner_.device_kind && !live_.empty() && !owner_.device_kind.empty()) {
    spdlog::warn("spool {}: {} reports were computed on '{}', this is '{}'; set aside in {}",
                 options_.folder, live_.size(), owner_.device_kind, owner.device_kind,
                 Path("other-device"));
    std::error_code error;
    std::filesystem::rename(Path("reports"), Path("other-device"), error);
    if (error) {
      return absl::UnavailableError(absl::StrCat(Path("other-device"), ": ", error.message()));
    }
    live_.clear();
  }
  if (live_.empty()) {
    recovered_.clear();
  }
  const SpoolOwner before = std::exchange(owner_, owner);
  const absl::Status written = Rewrite();
  if (!written.ok()) {
    owner_ = before;
  }
  return written;
}

absl::Status Spool::Write(absl::string_view bytes) {
  absl::Status written = WriteAll(file_, bytes, Path("reports"));
  if (written.ok()) {
    size_ += static_cast<int64_t>(bytes.size());
  } else if (ftruncate(file_, size_) != 0) {
    written.Update(ErrnoStatus(Path("reports")));
  }
  return written;
}

absl::Status Spool::Append(int64_t sequence, absl::string_view report) {
  const int64_t begin = size_;
  RETURN_IF_ERROR(Write(SpoolReport(sequence, report)));
  live_[sequence] = {begin, size_};
  live_bytes_ += size_ - begin;
  last_sequence_ = std::max(last_sequence_, sequence);
  return absl::OkStatus();
}

void Spool::Acknowledge(int64_t sequence) {
  const auto found = live_.find(sequence);
  if (found == live_.end()) {
    return;
  }
  live_bytes_ -= found->second.end - found->second.begin;
  live_.erase(found);
  absl::Status written = Write(SpoolAcknowledgement(sequence));
  if (size_ >= kLeastToCompact && size_ > 2 * live_bytes_) {
    written.Update(Rewrite());
  }
  if (!written.ok()) {
    spdlog::warn("spool: {}", std::string(written.message()));
  }
}

absl::Status Spool::Sync() {
  return fdatasync(file_) == 0 ? absl::OkStatus() : ErrnoStatus(Path("reports"));
}

}  // namespace bitquake
