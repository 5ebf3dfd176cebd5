#include "common/channel/connection_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "common/base/file.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ConnectionOptionsTest : public ::testing::Test {
 protected:
  ConnectionOptionsTest() { AddConnectionFlags(app_, &options_); }
  ~ConnectionOptionsTest() override {
    for (const char* name : {"BITQUAKE_TOKEN", "BITQUAKE_TOKEN_FILE", "BITQUAKE_TLS_CA",
                             "BITQUAKE_TLS_CERT", "BITQUAKE_TLS_KEY", "BITQUAKE_SERVER"}) {
      unsetenv(name);
    }
  }

  std::string Token(const std::string& text) {
    options_.token_file = testing::TempDir() + "/token";
    EXPECT_TRUE(WriteFileAtomically(options_.token_file, text).ok());
    const auto token = ReadToken(options_);
    return token.ok() ? *token : std::string(token.status().message());
  }

  CLI::App app_;
  ConnectionOptions options_;
};

TEST_F(ConnectionOptionsTest, ComeFromTheEnvironmentUnlessGiven) {
  setenv("BITQUAKE_SERVER", "host:1", 1);
  setenv("BITQUAKE_TLS_CA", "ca", 1);
  setenv("BITQUAKE_TLS_CERT", "cert", 1);
  setenv("BITQUAKE_TLS_KEY", "key", 1);
  setenv("BITQUAKE_TOKEN_FILE", "file", 1);
  app_.parse("--tls-ca mine");
  EXPECT_EQ(options_.address, "host:1");
  EXPECT_EQ(options_.tls_ca, "mine");
  EXPECT_EQ(options_.tls_cert, "cert");
  EXPECT_EQ(options_.tls_key, "key");
  EXPECT_EQ(options_.token_file, "file");
}

TEST_F(ConnectionOptionsTest, NoArgumentTakesAToken) {
  EXPECT_THROW(app_.parse("--token secret"), CLI::ExtrasError);
}

TEST_F(ConnectionOptionsTest, ATokenIsTheFirstLineOfItsFileOrTheEnvironments) {
  EXPECT_EQ(ReadToken(options_).value(), "");
  setenv("BITQUAKE_TOKEN", "from-environment", 1);
  EXPECT_EQ(ReadToken(options_).value(), "from-environment");
  EXPECT_EQ(Token("abc\n"), "abc") << "the file counts";
  EXPECT_EQ(Token("abc\r\nmore\n"), "abc");
}

TEST_F(ConnectionOptionsTest, WhatIsNoTokenIsRefusedAndNotShown) {
  EXPECT_THAT(Token(""), HasSubstr("holds no token"));
  EXPECT_THAT(Token("\nabc"), HasSubstr("holds no token"));
  EXPECT_THAT(Token("two words"), AllOf(HasSubstr("holds no token"), Not(HasSubstr("two"))));
  EXPECT_THAT(Token("a\x01z"), HasSubstr("holds no token"));
  EXPECT_THAT(Token(std::string(5000, 'x')), HasSubstr("larger than"));
  options_.token_file = "/no/such/file";
  EXPECT_THAT(std::string(ReadToken(options_).status().message()),
              AllOf(HasSubstr("--token-file"), HasSubstr("/no/such/file")));
}

}  // namespace
}  // namespace bitquake
