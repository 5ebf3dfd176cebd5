#include "server/service/address.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"

namespace bitquake {

absl::Status CheckPlainTextAddress(absl::string_view address) {
  for (const absl::string_view prefix : {"unix:", "127.0.0.1:", "localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, prefix)) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", address,
                   "' can be reached from other machines and this connection would be "
                   "plain text; listen on unix:PATH or 127.0.0.1:PORT, or say --insecure"));
}

absl::Status CheckSocketFolder(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "unix:")) {
    return absl::OkStatus();
  }
  const size_t slash = address.rfind('/');
  const std::string folder = slash == absl::string_view::npos
                                 ? "."
                                 : std::string(address.substr(0, std::max<size_t>(slash, 1)));
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0) {
    return ErrnoStatus(folder);
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder,
                     ": everybody may write there, and so put a socket in this one's "
                     "place; name a folder of your own, or chmod o-w it"));
  }
  return absl::OkStatus();
}

absl::Status RestrictSocket(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "unix:")) {
    return absl::OkStatus();
  }
  const std::string path(address);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || chmod(path.c_str(), info.st_mode & 0770) != 0) {
    return ErrnoStatus(path);
  }
  return absl::OkStatus();
}

absl::Status CheckNobodyListens(absl::string_view address) {
  absl::string_view path = address;
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  if (!absl::ConsumePrefix(&path, "unix:") || path.size() >= sizeof(place.sun_path)) {
    return absl::OkStatus();
  }
  std::copy(path.begin(), path.end(), place.sun_path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answers =
      fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&place), sizeof(place)) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return answers ? absl::FailedPreconditionError(absl::StrCat(
                       address, ": another server listens there; stop it, or name another address"))
                 : absl::OkStatus();
}

}  // namespace bitquake
