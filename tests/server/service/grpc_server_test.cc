#include "server/service/grpc_server.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "server/service/address.h"
#include "tests/server/service/served.h"

namespace bitquake {
namespace {

using GrpcServerTest = ServiceTest;

TEST_F(GrpcServerTest, AnswersTheStandardHealthCheck) {
  grpc::GenericStub health(channel_);
  grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  Context context;
  Pending<bool> done;
  grpc::Status status;
  health.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request,
                   &response, [&, callback = done.Callback()](grpc::Status ended) {
                     status = std::move(ended);
                     callback(true);
                   });
  ASSERT_TRUE(done.Get().ok());
  EXPECT_TRUE(status.ok()) << status.error_message();
  grpc::Slice bytes;
  ASSERT_TRUE(response.DumpToSingleSlice(&bytes).ok());
  // HealthCheckResponse{status: SERVING}: field 1 is 1.
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size()), "\x08\x01");
}

TEST_F(GrpcServerTest, AnAddressThatCannotBeHadIsUnavailable) {
  const auto second =
      GrpcServer::Start({"unix:" + folder_.Path("no/such/folder"), ""}, coordinator_.get());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(GrpcServerTest, SaysWhichPortItHas) {
  const auto server = GrpcServer::Start({"127.0.0.1:0", ""}, coordinator_.get());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
  const auto second =
      GrpcServer::Start({"127.0.0.1:" + std::to_string((*server)->port()), ""}, coordinator_.get());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << "taken";
}

TEST(CheckPlainTextAddress, AllowsOnlyWhatOtherMachinesCannotReach) {
  for (const char* good : {"unix:/tmp/s", "127.0.0.1:0", "localhost:50051", "[::1]:50051"}) {
    EXPECT_TRUE(CheckPlainTextAddress(good).ok()) << good;
  }
  for (const char* bad : {"", "0.0.0.0:1", "[::]:1", "host:1", "localhost.evil.org:1",
                          "127.0.0.1.evil.org:1", "dns:localhost:1"}) {
    EXPECT_EQ(CheckPlainTextAddress(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace bitquake
