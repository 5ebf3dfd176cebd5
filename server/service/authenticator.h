// Who calls: a role and a name, from a token or from a client certificate.
//
// The tokens file has a line for each: ROLE NAME EXPIRES SHA256, where EXPIRES is a UTC date or
// time (2027-01-31, 2027-01-31T12:00:00Z) or "never", and SHA256 is that of the token in
// hexadecimal; the tokens themselves, 256 random bits each, are kept by those who show them. The
// file of revoked certificates has a line for each: the SHA-256 fingerprint, as openssl prints it.
// '#' begins a comment. Both are read again when they change, so that what is added, removed or
// revoked counts from the next call on. While one of them cannot be read, or has a line that is
// none of these, nobody gets in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/digest.h"

namespace bitquake {

enum class Role { kViewer, kSubmitter, kWorker };
inline constexpr Role kRoles[] = {Role::kViewer, Role::kSubmitter, Role::kWorker};

absl::string_view RoleName(Role role);                      // "viewer"
absl::StatusOr<Role> RoleFromName(absl::string_view name);  // InvalidArgument, with what there is

struct Identity {
  Role role;
  std::string name;
};

// What a call shows of its caller.
struct Credentials {
  std::string authorization;  // "Bearer TOKEN", or "Basic ..." with the token as password; or empty
  std::string certificate;    // PEM, verified against the CA by the handshake; or empty
};

struct AuthenticatorOptions {
  std::string tokens;   // paths; empty: no tokens
  std::string revoked;  // empty: none
};

// Thread-safe.
class Authenticator {
 public:
  // Reads the files. `clock` must outlive it. Errors: InvalidArgument, with file and line.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Open(const AuthenticatorOptions& options,
                                                             const Clock* clock);

  // A token decides if there is one, the certificate's role otherwise; a revoked or expired
  // certificate is refused in any case. Errors: Unauthenticated, with what to do; Unavailable while
  // a file cannot be read. Errors hold nothing of a token.
  absl::StatusOr<Identity> Identify(const Credentials& credentials);

 private:
  struct Token {
    Identity identity;
    absl::Time expires;
    Sha256Bytes digest;
  };
  struct Lists {
    std::vector<Token> tokens;
    absl::flat_hash_set<std::string> revoked;
  };

  Authenticator(AuthenticatorOptions options, const Clock* clock)
      : options_(std::move(options)), clock_(clock) {}
  static absl::StatusOr<std::vector<Token>> ReadTokens(const std::string& path);
  static absl::StatusOr<absl::flat_hash_set<std::string>> ReadRevoked(const std::string& path);
  // The lists as the files are now.
  absl::StatusOr<std::shared_ptr<const Lists>> Current();
  absl::StatusOr<std::shared_ptr<const Lists>> Read() const;
  absl::StatusOr<Identity> IdentifyToken(const Lists& lists, absl::string_view token) const;

  const AuthenticatorOptions options_;
  const Clock* const clock_;
  absl::Mutex mutex_;
  std::string stamp_ ABSL_GUARDED_BY(mutex_);  // of both files, when `lists_` was read
  absl::StatusOr<std::shared_ptr<const Lists>> lists_ ABSL_GUARDED_BY(mutex_);
  std::string unread_ ABSL_GUARDED_BY(mutex_);  // why they cannot be read, as logged
};

}  // namespace bitquake
