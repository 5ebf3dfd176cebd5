#include "common/channel/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/channel/credentials.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

ConnectionOptions To(const std::string& address, const std::string& ca = "",
                     const std::string& cert = "", const std::string& key = "",
                     const std::string& token_file = "") {
  return {address, ca, cert, key, token_file};
}

class ChannelTest : public ::testing::Test {
 protected:
  std::string Refusal(const ConnectionOptions& options) {
    const auto channel = OpenChannel(options);
    EXPECT_EQ(channel.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(channel.status().message());
  }

  const MadeCredentials made_;
  const std::string ca_ = made_.Path("ca.crt");
  const std::string cert_ = made_.Path("viewer.crt");
  const std::string key_ = made_.Path("viewer.key");
  const std::string token_ = made_.Path("viewer.token");
};

TEST_F(ChannelTest, OpensWithWhatFitsTogether) {
  EXPECT_TRUE(OpenChannel(To("host:1")).ok());
  EXPECT_TRUE(OpenChannel(To("host:1", ca_)).ok());
  EXPECT_TRUE(OpenChannel(To("host:1", ca_, cert_, key_)).ok());
  EXPECT_TRUE(OpenChannel(To("host:1", ca_, "", "", token_)).ok());
  EXPECT_TRUE(OpenChannel(To("host:1", ca_, cert_, key_, token_)).ok());
}

TEST_F(ChannelTest, NothingSecretGoesOverPlainText) {
  EXPECT_THAT(Refusal(To("host:1", "", "", "", token_)), HasSubstr("--tls-ca"));
  EXPECT_THAT(Refusal(To("host:1", "", cert_, key_)), HasSubstr("--tls-ca"));
}

TEST_F(ChannelTest, FilesThatCannotBeUsedAreNamed) {
  EXPECT_THAT(Refusal(To("host:1", "/no/ca")), AllOf(HasSubstr("--tls-ca"), HasSubstr("/no/ca")));
  EXPECT_THAT(Refusal(To("host:1", token_)), HasSubstr("no certificate"));
  EXPECT_THAT(Refusal(To("host:1", ca_, cert_, "")), HasSubstr("go together"));
  EXPECT_THAT(Refusal(To("host:1", ca_, cert_, made_.Path("worker.key"))),
              AllOf(HasSubstr("--tls-key"), HasSubstr("not that of the certificate")));
  EXPECT_THAT(Refusal(To("host:1", ca_, "", "", "/no/token")), HasSubstr("/no/token"));
}

TEST_F(ChannelTest, AUnixSocketNeedsNoneOfThem) {
  EXPECT_TRUE(OpenChannel(To("unix:/tmp/socket", "/no/ca", "", "", "/no/token")).ok());
}

}  // namespace
}  // namespace bitquake
