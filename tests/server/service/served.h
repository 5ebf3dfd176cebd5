// Both services over real gRPC, on a Unix socket of their own.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "bitquake/v1/campaign.grpc.pb.h"
#include "bitquake/v1/worker.grpc.pb.h"
#include "common/base/build_info.h"
#include "server/service/grpc_server.h"
#include "tests/server/cluster.h"

namespace bitquake {

// Every call ends in a minute: a lost reply is a failure, not a test that hangs.
class Context : public grpc::ClientContext {
 public:
  Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1)); }
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    auto server = GrpcServer::Start({address_, coordinator_.path()}, coordinator_.get());
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  ~ServiceTest() override {
    coordinator_->Stop();
    server_->Stop();
  }

  grpc::Status Submit(const std::string& file, const std::string& request_id, std::string* id) {
    v1::SubmitRequest request;
    request.set_file(file);
    request.set_file_name("mine.yaml");
    request.set_request_id(request_id);
    v1::SubmitResponse response;
    Context context;
    const grpc::Status status = campaigns_->Submit(&context, request, &response);
    *id = response.campaign_id();
    return status;
  }

  std::string SubmitSmall() {
    std::string id;
    const grpc::Status status = Submit(kSmallCampaign, "request", &id);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return id;
  }

  v1::CampaignStatus Get(const std::string& id) {
    v1::GetCampaignRequest request;
    request.set_campaign_id(id);
    v1::CampaignStatus response;
    Context context;
    const grpc::Status status = campaigns_->GetCampaign(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  grpc::Status Register(int protocol_version = kProtocolVersion, const std::string& id = "w") {
    v1::RegisterRequest request;
    request.set_protocol_version(protocol_version);
    request.set_worker_id(id);
    request.set_instance("first");
    request.set_device_kind("cpu");
    v1::RegisterResponse response;
    Context context;
    const grpc::Status status = workers_->Register(&context, request, &response);
    EXPECT_EQ(response.lease_seconds(), status.ok() ? 60 : 0);
    return status;
  }

  v1::LeaseJobsResponse Lease(int64_t request_number) {
    v1::LeaseJobsRequest request;
    request.set_worker_id("w");
    request.set_request_number(request_number);
    v1::LeaseJobsResponse response;
    Context context;
    const grpc::Status status = workers_->LeaseJobs(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  TestCoordinator coordinator_;
  ScratchFolder folder_;
  const std::string address_ = "unix:" + folder_.Path("socket");
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_ =
      grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
  std::unique_ptr<v1::CampaignService::Stub> campaigns_ = v1::CampaignService::NewStub(channel_);
  std::unique_ptr<v1::WorkerService::Stub> workers_ = v1::WorkerService::NewStub(channel_);
};

}  // namespace bitquake
