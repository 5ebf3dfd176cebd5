#include "common/channel/credential_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/channel/credentials.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CredentialCheckTest : public ::testing::Test {
 protected:
  // The finding about `what`.
  CredentialFinding Find(const std::string& what, absl::Time now = absl::Now()) {
    for (const CredentialFinding& finding : CheckCredentials(options_, now)) {
      if (finding.what == what) {
        return finding;
      }
    }
    ADD_FAILURE() << "nothing about " << what;
    return {};
  }

  const MadeCredentials made_{"--host localhost --days 30"};
  ConnectionOptions options_{"host:1", made_.Path("ca.crt"), made_.Path("viewer.crt"),
                             made_.Path("viewer.key"), made_.Path("viewer.token")};
};

TEST_F(CredentialCheckTest, WhatIsNotGivenIsNotLookedAt) {
  EXPECT_THAT(CheckCredentials({}, absl::Now()), IsEmpty());
}

TEST_F(CredentialCheckTest, WhatTheScriptMakesIsGood) {
  for (const char* what : {"--tls-ca", "--tls-cert", "--tls-key", "--token-file"}) {
    EXPECT_TRUE(Find(what).good) << Find(what).text;
  }
  EXPECT_THAT(Find("--tls-cert").text,
              AllOf(HasSubstr("of viewer, role viewer, until"), HasSubstr("(29 days)")));
}

TEST_F(CredentialCheckTest, ExpiredCertificatesAreFound) {
  const absl::Time later = absl::Now() + absl::Hours(31 * 24);
  EXPECT_FALSE(Find("--tls-cert", later).good);
  EXPECT_THAT(Find("--tls-cert", later).text, HasSubstr("expired on"));
  EXPECT_TRUE(Find("--tls-ca", later).good);
  EXPECT_THAT(Find("--tls-cert", absl::Now() - absl::Hours(24)).text, HasSubstr("clock"));
}

TEST_F(CredentialCheckTest, SecretsThatOthersCanReadAreFound) {
  made_.Shell("chmod 640 viewer.key && chmod 604 viewer.token");
  EXPECT_FALSE(Find("--tls-key").good);
  EXPECT_THAT(Find("--tls-key").text, HasSubstr("chmod 600"));
  EXPECT_FALSE(Find("--token-file").good);
}

TEST_F(CredentialCheckTest, FilesThatAreMissingOrSomethingElseAreFound) {
  options_.tls_key = made_.Path("worker.key");
  EXPECT_THAT(Find("--tls-key").text, HasSubstr("not that of the certificate"));
  options_.token_file = made_.Path("none");
  EXPECT_FALSE(Find("--token-file").good);
  options_.tls_ca = made_.Path("ca.key");
  EXPECT_THAT(Find("--tls-ca").text, HasSubstr("no certificate"));
}

}  // namespace
}  // namespace bitquake
