#include "server/service/authenticator.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/channel/certificate.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

constexpr size_t kLargestFile = 16 << 20;
constexpr char kHowToGetIn[] =
    "show a token (--token-file FILE, or BITQUAKE_TOKEN) or a certificate (--tls-cert, --tls-key)";

// 32 bytes from 64 digits; empty if they are not that.
std::string FromSha256Hex(absl::string_view digits) {
  const bool good =
      digits.size() == 64 && std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit);
  return good ? absl::HexStringToBytes(digits) : std::string();
}

absl::StatusOr<absl::Time> ParseExpiry(absl::string_view text) {
  if (text == "never") {
    return absl::InfiniteFuture();
  }
  absl::Time time;
  std::string error;
  for (const char* format : {"%Y-%m-%d", absl::RFC3339_sec}) {
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) {
      return time;
    }
  }
  return absl::InvalidArgumentError(
      "the third field is no time; write 2027-01-31, 2027-01-31T12:00:00Z or never");
}

// Calls `take` with each line that is no comment; its errors get file and line.
template <typename Take>
absl::Status ForEachLine(const std::string& path, Take take) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kLargestFile));
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    const absl::Status taken = line.empty() ? absl::OkStatus() : take(line);
    if (!taken.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", taken.message()));
    }
  }
  return absl::OkStatus();
}

// The token of an Authorization header. Browsers can only ask for a name and a password: there the
// password is the token.
absl::StatusOr<std::string> TokenOf(absl::string_view authorization) {
  const absl::string_view scheme = authorization.substr(0, authorization.find(' '));
  authorization.remove_prefix(std::min(scheme.size() + 1, authorization.size()));
  std::string pair;
  if (absl::EqualsIgnoreCase(scheme, "Bearer")) {
    return std::string(absl::StripAsciiWhitespace(authorization));
  }
  if (absl::EqualsIgnoreCase(scheme, "Basic") && absl::Base64Unescape(authorization, &pair) &&
      absl::StrContains(pair, ':')) {
    return pair.substr(pair.find(':') + 1);
  }
  return absl::UnauthenticatedError("the authorization is not 'Bearer TOKEN'");
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kSubmitter:
      return "submitter";
    case Role::kWorker:
      return "worker";
  }
  return "";
}

absl::StatusOr<Role> RoleFromName(absl::string_view name) {
  for (const Role role : kRoles) {
    if (RoleName(role) == name) {
      return role;
    }
  }
  return absl::InvalidArgumentError("the role is none of viewer, submitter, worker");
}

absl::StatusOr<std::vector<Authenticator::Token>> Authenticator::ReadTokens(
    const std::string& path) {
  std::vector<Token> tokens;
  RETURN_IF_ERROR(ForEachLine(path, [&](absl::string_view line) -> absl::Status {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (fields.size() != 4) {
      return absl::InvalidArgumentError("a token's line is: ROLE NAME EXPIRES SHA256");
    }
    Token token;
    ASSIGN_OR_RETURN(token.identity.role, RoleFromName(fields[0]));
    token.identity.name = std::string(fields[1]);
    ASSIGN_OR_RETURN(token.expires, ParseExpiry(fields[2]));
    const std::string digest = FromSha256Hex(fields[3]);
    if (digest.empty()) {
      return absl::InvalidArgumentError(
          "the fourth field is not 64 hexadecimal digits, the SHA-256 of the token");
    }
    std::copy(digest.begin(), digest.end(), token.digest.begin());
    tokens.push_back(std::move(token));
    return absl::OkStatus();
  }));
  return tokens;
}

absl::StatusOr<absl::flat_hash_set<std::string>> Authenticator::ReadRevoked(
    const std::string& path) {
  absl::flat_hash_set<std::string> revoked;
  RETURN_IF_ERROR(ForEachLine(path, [&](absl::string_view line) -> absl::Status {
    const std::string digest = FromSha256Hex(absl::StrReplaceAll(line, {{":", ""}}));
    if (digest.empty()) {
      return absl::InvalidArgumentError(
          "not a fingerprint; write what openssl x509 -noout -fingerprint -sha256 prints behind =");
    }
    revoked.insert(ToHex(digest));
    return absl::OkStatus();
  }));
  return revoked;
}

absl::StatusOr<std::shared_ptr<const Authenticator::Lists>> Authenticator::Read() const {
  auto lists = std::make_shared<Lists>();
  if (!options_.tokens.empty()) {
    ASSIGN_OR_RETURN(lists->tokens, ReadTokens(options_.tokens));
  }
  if (!options_.revoked.empty()) {
    ASSIGN_OR_RETURN(lists->revoked, ReadRevoked(options_.revoked));
  }
  return lists;
}

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Open(
    const AuthenticatorOptions& options, const Clock* clock) {
  auto authenticator = std::unique_ptr<Authenticator>(new Authenticator(options, clock));
  const absl::Status read = authenticator->Read().status();
  if (!read.ok()) {
    return absl::InvalidArgumentError(read.message());
  }
  return authenticator;
}

absl::StatusOr<std::shared_ptr<const Authenticator::Lists>> Authenticator::Current() {
  std::string stamp;
  for (const std::string& path : {options_.tokens, options_.revoked}) {
    const absl::StatusOr<std::string> one =
        path.empty() ? absl::StatusOr<std::string>("none") : FileStamp(path);
    absl::StrAppend(&stamp, one.ok() ? *one : std::string(one.status().message()), "\n");
  }
  absl::MutexLock lock(&mutex_);
  if (stamp != stamp_) {
    const bool first = stamp_.empty();
    lists_ = Read();
    // What could not be read, as for want of descriptors, is tried again with the next call.
    stamp_ = lists_.ok() ? stamp : "unread";
    if (!lists_.ok()) {
      const std::string why(lists_.status().message());
      if (why != unread_) {
        spdlog::error("nobody gets in until this is mended: {}", why);
      }
      unread_ = why;
      lists_ = absl::UnavailableError(
          "the server cannot read its list of tokens or of revoked "
          "certificates; its log says why");
      return lists_;
    }
    unread_.clear();
    if (!first) {
      spdlog::info("tokens read again: {}, certificates revoked: {}", (*lists_)->tokens.size(),
                   (*lists_)->revoked.size());
    }
  }
  return lists_;
}

absl::StatusOr<Identity> Authenticator::IdentifyToken(const Lists& lists,
                                                      absl::string_view token) const {
  const Sha256Bytes digest = Sha256(token);
  // All lines are compared, each in the same time, whatever they hold.
  const Token* found = nullptr;
  for (const Token& line : lists.tokens) {
    const bool same = CRYPTO_memcmp(line.digest.data(), digest.data(), digest.size()) == 0;
    found = same ? &line : found;
  }
  if (found == nullptr) {
    return absl::UnauthenticatedError(
        "the server does not know this token; it may have been revoked: ask for another");
  }
  if (found->expires <= clock_->Wall()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token of ", found->identity.name, " expired on ",
                     absl::FormatTime(found->expires, absl::UTCTimeZone()), "; ask for another"));
  }
  return found->identity;
}

absl::StatusOr<Identity> Authenticator::Identify(const Credentials& credentials) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Lists> lists, Current());
  CertificateFacts certificate;
  if (!credentials.certificate.empty()) {
    const absl::StatusOr<CertificateFacts> facts = ReadCertificate(credentials.certificate);
    if (!facts.ok()) {
      return absl::UnauthenticatedError(facts.status().message());
    }
    certificate = *facts;
    if (lists->revoked.contains(certificate.fingerprint)) {
      return absl::UnauthenticatedError(absl::StrCat("the certificate of ", certificate.name,
                                                     " has been revoked; ask for another"));
    }
    if (certificate.not_after < clock_->Wall()) {
      return absl::UnauthenticatedError(
          absl::StrCat("the certificate of ", certificate.name, " has expired; ask for another"));
    }
  }
  if (!credentials.authorization.empty()) {
    ASSIGN_OR_RETURN(const std::string token, TokenOf(credentials.authorization));
    return IdentifyToken(*lists, token);
  }
  if (credentials.certificate.empty()) {
    return absl::UnauthenticatedError(absl::StrCat("who calls? ", kHowToGetIn));
  }
  const absl::StatusOr<Role> role = RoleFromName(certificate.role);
  if (!role.ok()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate of ", certificate.name,
                     " holds no role (URI:bitquake:role:viewer, submitter or worker); ask for one "
                     "that does, or show a token"));
  }
  return Identity{*role, certificate.name};
}

}  // namespace bitquake
