#include "common/channel/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "tests/channel/credentials.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Certificate, SaysRoleNameFingerprintAndTime) {
  const MadeCredentials made("--host localhost --days 30");
  const auto facts = ReadCertificate(made.Read("worker.crt"));
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->name, "worker");
  EXPECT_EQ(facts->role, "worker");
  EXPECT_LT(facts->not_before, absl::Now());
  EXPECT_GT(facts->not_after, absl::Now() + absl::Hours(29 * 24));
  EXPECT_LT(facts->not_after, absl::Now() + absl::Hours(31 * 24));
  made.Shell("openssl x509 -in worker.crt -noout -fingerprint -sha256 | cut -d= -f2 >print");
  EXPECT_EQ(facts->fingerprint, absl::AsciiStrToLower(absl::StrReplaceAll(
                                    made.Read("print"), {{":", ""}, {"\n", ""}})));
  EXPECT_EQ(ReadCertificate(made.Read("server.crt"))->role, "");
}

TEST(Certificate, SeveralRolesAreRefused) {
  const MadeCredentials made;
  made.Sign("two", "subjectAltName=URI:bitquake:role:viewer,URI:bitquake:role:worker", 1);
  EXPECT_THAT(std::string(ReadCertificate(made.Read("two.crt")).status().message()),
              HasSubstr("several roles"));
}

TEST(Certificate, WhatIsNoneIsRefused) {
  for (const char* text : {"", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                           "-----BEGIN CERTIFICATE-----", "\0\xff"}) {
    EXPECT_EQ(ReadCertificate(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(CertificateFile, AnExpiredOneIsRefused) {
  const MadeCredentials made;
  made.Sign("old", "subjectAltName=URI:bitquake:role:viewer", -1);
  EXPECT_THAT(
      std::string(ReadCertificateFile("--tls-cert", made.Path("old.crt")).status().message()),
      AllOf(HasSubstr("--tls-cert"), HasSubstr("old.crt"), HasSubstr("expired on")));
  EXPECT_TRUE(ReadCertificateFile("--tls-cert", made.Path("viewer.crt")).ok());
}

TEST(KeyFile, IsThatOfTheCertificateAndNeverShown) {
  const MadeCredentials made;
  const std::string certificate = made.Read("viewer.crt");
  EXPECT_EQ(ReadKeyFile("--tls-key", made.Path("viewer.key"), certificate).value(),
            made.Read("viewer.key"));
  const auto other = ReadKeyFile("--tls-key", made.Path("worker.key"), certificate);
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("not that of the certificate"));
  const auto none = ReadKeyFile("--tls-key", made.Path("viewer.token"), certificate);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("no private key"));
  EXPECT_THAT(std::string(none.status().message()),
              Not(HasSubstr(made.Read("viewer.token").substr(0, 8))));
  made.Shell("openssl ec -in viewer.key -aes128 -passout pass:secret -out locked.key");
  EXPECT_THAT(
      std::string(
          ReadKeyFile("--tls-key", made.Path("locked.key"), certificate).status().message()),
      HasSubstr("passphrase"));
}

}  // namespace
}  // namespace bitquake
