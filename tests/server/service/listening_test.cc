#include "server/service/listening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "server/service/address.h"
#include "server/service/limits.h"
#include "tests/channel/credentials.h"
#include "tests/server/cluster.h"
#include "tests/server/service/served.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

std::string FlagError(const std::string& address, const TlsOptions& tls, bool insecure = false) {
  const absl::Status status = CheckListenFlags(address, tls, insecure);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ListenFlags, PlainTextStaysOnThisHost) {
  EXPECT_EQ(FlagError("127.0.0.1:1", {}), "");
  EXPECT_EQ(FlagError("unix:s", {}), "");
  EXPECT_THAT(FlagError("0.0.0.0:1", {}), HasSubstr("--insecure"));
  EXPECT_EQ(FlagError("0.0.0.0:1", {}, /*insecure=*/true), "");
}

TEST(ListenFlags, TlsGoesAnywhereButOnUnixSockets) {
  const TlsOptions tls{"c", "k", "ca", "t", "r"};
  EXPECT_EQ(FlagError("0.0.0.0:1", tls), "");
  EXPECT_EQ(FlagError("127.0.0.1:1", tls), "");
  EXPECT_THAT(FlagError("unix:s", tls), HasSubstr("permissions"));
}

TEST(ListenFlags, AreRefusedWhereTheyMeanNothing) {
  EXPECT_THAT(FlagError("0.0.0.0:1", {"c", "", "ca", "", ""}), HasSubstr("--tls-key"));
  EXPECT_THAT(FlagError("0.0.0.0:1", {"", "k", "ca", "", ""}), HasSubstr("give both"));
  EXPECT_THAT(FlagError("0.0.0.0:1", {"c", "k", "", "", ""}), HasSubstr("nobody could get in"));
  EXPECT_THAT(FlagError("0.0.0.0:1", {"c", "k", "", "t", "r"}), HasSubstr("--tls-client-ca"));
  EXPECT_THAT(FlagError("127.0.0.1:1", {"", "", "", "t", ""}), HasSubstr("need TLS"));
  EXPECT_THAT(FlagError("127.0.0.1:1", {"", "", "ca", "", ""}), HasSubstr("need TLS"));
}

TEST(Listening, FilesThatCannotBeUsedAreNamed) {
  const MadeCredentials made;
  SystemClock clock;
  const auto error = [&](const TlsOptions& tls) {
    return std::string(PrepareListening(tls, &clock).status().message());
  };
  const std::string cert = made.Path("server.crt");
  const std::string key = made.Path("server.key");
  EXPECT_EQ(error({cert, key, made.Path("ca.crt"), made.Path("tokens"), made.Path("revoked")}), "");
  EXPECT_THAT(error({"/no/cert", key, "", "", ""}), HasSubstr("/no/cert"));
  EXPECT_THAT(error({cert, made.Path("worker.key"), "", "", ""}), HasSubstr("--tls-key"));
  EXPECT_THAT(error({cert, key, made.Path("ca.key"), "", ""}), HasSubstr("--tls-client-ca"));
  EXPECT_THAT(error({cert, key, "", made.Path("ca.key"), ""}), HasSubstr("a token's line is"));
}

TEST(SocketFolder, IsNotOneWhereEverybodyMayWrite) {
  const ScratchFolder folder;
  const std::string address = "unix:" + folder.Path("socket");
  EXPECT_TRUE(CheckSocketFolder(address).ok());
  EXPECT_TRUE(CheckSocketFolder("127.0.0.1:1").ok());
  ASSERT_EQ(chmod(folder.Path("").c_str(), 0777), 0);
  EXPECT_THAT(std::string(CheckSocketFolder(address).message()), HasSubstr("chmod o-w"));
  EXPECT_EQ(CheckSocketFolder("unix:/no/such/socket").code(), absl::StatusCode::kNotFound);
}

using ServedSocket = ServiceTest;

TEST_F(ServedSocket, IsClosedToOthers) {
  struct stat info {};
  ASSERT_EQ(stat(folder_.Path("socket").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0007, 0u);
}

TEST_F(ServedSocket, OneHostSendsSoManyFilesAndNoMore) {
  int admitted = 0;
  grpc::Status status;
  while (admitted < 10'000 && status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) {
    v1::ValidateRequest request;
    request.set_file("x");
    v1::ValidateResponse response;
    Context context;
    status = campaigns_->Validate(&context, request, &response);
    ++admitted;
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_GE(admitted, kSubmitBurst);
}

}  // namespace
}  // namespace bitquake
