#include "server/service/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "tests/channel/credentials.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Line(const std::string& role, const std::string& name, const std::string& expires,
                 const std::string& token) {
  return absl::StrCat(role, " ", name, " ", expires, " ", Sha256Hex(token), "\n");
}

class AuthenticatorTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(folder_.Path("tokens"), text).ok());
  }
  void Open() {
    auto opened = Authenticator::Open({folder_.Path("tokens"), ""}, &clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    authenticator_ = *std::move(opened);
  }
  std::string OpenError(const std::string& text) {
    Write(text);
    const absl::Status status = Authenticator::Open({folder_.Path("tokens"), ""}, &clock_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }
  absl::StatusOr<Identity> Show(const std::string& authorization) {
    return authenticator_->Identify({authorization, ""});
  }
  std::string Refusal(const std::string& authorization) {
    const absl::Status status = Show(authorization).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    return std::string(status.message());
  }

  ScratchFolder folder_;
  FakeClock clock_;  // starts on 2023-11-14
  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(AuthenticatorTest, ATokenHasTheRoleAndNameOfItsLine) {
  Write(absl::StrCat("# people\n\n", Line("viewer", "ann", "never", "t1"),
                     Line("submitter", "bob", "2099-01-31", "t2"), "  worker\tgpu1 ",
                     "2099-01-31T12:00:00Z ", Sha256Hex("t3"), "  # the first\n"));
  Open();
  EXPECT_EQ(Show("Bearer t1")->role, Role::kViewer);
  EXPECT_EQ(Show("Bearer t1")->name, "ann");
  EXPECT_EQ(Show("Bearer t2")->role, Role::kSubmitter);
  EXPECT_EQ(Show("bearer t3")->role, Role::kWorker);
  EXPECT_EQ(Show("Basic " + absl::Base64Escape("whoever:t1"))->name, "ann") << "as browsers do";
}

TEST_F(AuthenticatorTest, WhatIsNoKnownTokenIsRefusedAndNotShown) {
  Write(Line("viewer", "ann", "never", "t1"));
  Open();
  EXPECT_THAT(Refusal(""), AllOf(HasSubstr("--token-file"), HasSubstr("--tls-cert")));
  EXPECT_THAT(Refusal("Bearer wrong-secret"),
              AllOf(HasSubstr("does not know"), Not(HasSubstr("wrong-secret"))));
  for (const char* bad : {"t1", "Bearer", "Bearer ", "Bearer t1 t1", "Basic t1", "Basic !", "Basic",
                          "Digest t1", "BearerX t1"}) {
    EXPECT_NE(Refusal(bad), "") << bad;
  }
  EXPECT_NE(Refusal("Bearer " + Sha256Hex("t1")), "") << "what the file holds opens nothing";
}

TEST_F(AuthenticatorTest, ATokenEndsWhenItsTimeIsOver) {
  Write(Line("viewer", "ann", "2023-11-15T00:00:00Z", "t1"));
  Open();
  EXPECT_TRUE(Show("Bearer t1").ok());
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(Refusal("Bearer t1"), AllOf(HasSubstr("ann"), HasSubstr("expired on 2023-11-15")));
}

TEST_F(AuthenticatorTest, AChangedFileCountsFromTheNextCallOn) {
  Write(Line("viewer", "ann", "never", "t1"));
  Open();
  EXPECT_TRUE(Show("Bearer t1").ok());
  Write(Line("viewer", "bob", "never", "t2"));
  EXPECT_THAT(Refusal("Bearer t1"), HasSubstr("revoked"));
  EXPECT_TRUE(Show("Bearer t2").ok());
}

TEST_F(AuthenticatorTest, NobodyGetsInWhileTheFileIsBroken) {
  Write(Line("viewer", "ann", "never", "t1"));
  Open();
  Write("viewer ann\n");
  EXPECT_EQ(Show("Bearer t1").status().code(), absl::StatusCode::kUnavailable);
  std::filesystem::remove(folder_.Path("tokens"));
  EXPECT_EQ(Show("Bearer t1").status().code(), absl::StatusCode::kUnavailable);
  Write(Line("viewer", "ann", "never", "t1"));
  EXPECT_TRUE(Show("Bearer t1").ok());
}

TEST_F(AuthenticatorTest, WhatIsWrongInTheFileIsSaidByLineAndNotShown) {
  EXPECT_THAT(OpenError("\nviewer ann never\n"), HasSubstr("tokens:2: a token's line is: ROLE"));
  EXPECT_THAT(OpenError(Line("root", "ann", "never", "t")),
              AllOf(HasSubstr("tokens:1"), HasSubstr("viewer, submitter, worker")));
  EXPECT_THAT(OpenError(Line("viewer", "ann", "soon", "t")), HasSubstr("no time"));
  EXPECT_THAT(OpenError("viewer ann never my-secret\n"),
              AllOf(HasSubstr("SHA-256"), Not(HasSubstr("my-secret"))));
  std::filesystem::remove(folder_.Path("tokens"));
  EXPECT_THAT(
      std::string(Authenticator::Open({folder_.Path("tokens"), ""}, &clock_).status().message()),
      HasSubstr(folder_.Path("tokens")));
}

// As strangers who hold connections open can bring about.
TEST_F(AuthenticatorTest, AListThatCouldNotBeReadForWantOfDescriptorsIsReadWhenThereAreSome) {
  Write(Line("viewer", "ann", "never", "t"));
  Open();
  ASSERT_TRUE(authenticator_->Identify({"Bearer t", ""}).ok());
  Write(Line("viewer", "ann", "never", "t") + Line("viewer", "bob", "never", "u"));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status without = authenticator_->Identify({"Bearer u", ""}).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(without.code(), absl::StatusCode::kUnavailable) << without;
  EXPECT_TRUE(authenticator_->Identify({"Bearer u", ""}).ok());
}

// Certificates, as the handshake hands them over.
class CertificateAuthenticatorTest : public ::testing::Test {
 protected:
  CertificateAuthenticatorTest() {
    auto opened = Authenticator::Open({made_.Path("tokens"), made_.Path("revoked")}, &clock_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    authenticator_ = *std::move(opened);
  }
  absl::StatusOr<Identity> Show(const std::string& certificate,
                                const std::string& authorization = "") {
    return authenticator_->Identify({authorization, made_.Read(certificate)});
  }
  std::string Bearer(const std::string& file) {
    const std::string text = made_.Read(file);
    return "Bearer " + text.substr(0, text.find('\n'));
  }

  const MadeCredentials made_;
  SystemClock clock_;
  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(CertificateAuthenticatorTest, ItsRoleIsInIt) {
  EXPECT_EQ(Show("viewer.crt")->role, Role::kViewer);
  EXPECT_EQ(Show("submitter.crt")->role, Role::kSubmitter);
  EXPECT_EQ(Show("worker.crt")->role, Role::kWorker);
  EXPECT_THAT(std::string(Show("server.crt").status().message()), HasSubstr("holds no role"));
}

TEST_F(CertificateAuthenticatorTest, ATokenDecidesIfThereIsOne) {
  EXPECT_EQ(Show("worker.crt", Bearer("viewer.token"))->role, Role::kViewer);
  EXPECT_EQ(Show("server.crt", Bearer("worker.token"))->role, Role::kWorker);
  EXPECT_FALSE(Show("worker.crt", "Bearer unknown").ok());
}

TEST_F(CertificateAuthenticatorTest, ARevokedOneIsRefusedWithAnyToken) {
  const std::string certificate = made_.Read("viewer.crt");
  made_.Script("--revoke viewer");
  for (const std::string& authorization : {std::string(), Bearer("worker.token")}) {
    const auto refused = authenticator_->Identify({authorization, certificate});
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("revoked"));
  }
  EXPECT_TRUE(Show("worker.crt").ok());
}

TEST_F(CertificateAuthenticatorTest, AnExpiredOneIsRefusedThoughItsConnectionLasts) {
  made_.Sign("old", "subjectAltName=URI:bitquake:role:viewer", -1);
  EXPECT_THAT(std::string(Show("old.crt").status().message()), HasSubstr("expired"));
}

TEST_F(CertificateAuthenticatorTest, AListOfOtherThingsThanFingerprintsIsRefused) {
  EXPECT_THAT(
      std::string(Authenticator::Open({"", made_.Path("tokens")}, &clock_).status().message()),
      HasSubstr("fingerprint"));
}

}  // namespace
}  // namespace bitquake
