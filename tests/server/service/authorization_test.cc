#include "server/service/authorization.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "bitquake/v1/campaign.pb.h"
#include "bitquake/v1/worker.pb.h"
#include "common/base/file.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

std::string Campaigns(const char* method) {
  return absl::StrCat("/bitquake.v1.CampaignService/", method);
}
std::string Work(const char* method) { return absl::StrCat("/bitquake.v1.WorkerService/", method); }
bool May(Role role, const std::string& path) {
  return Authorize(path, Identity{role, "somebody"}).ok();
}

TEST(Authorization, EveryCallOfTheProtocolHasALineAndNoOther) {
  std::set<std::string> calls = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"};
  for (const auto* file :
       {v1::SubmitRequest::descriptor()->file(), v1::RegisterRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        calls.insert(absl::StrCat("/", file->service(s)->full_name(), "/",
                                  file->service(s)->method(m)->name()));
      }
    }
  }
  const std::vector<std::string> lines = AuthorizedCalls();
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()), calls);
  EXPECT_EQ(lines.size(), calls.size()) << "a call has two lines";
}

TEST(Authorization, AWorkerLeasesAndReportsOnly) {
  for (const std::string& call : AuthorizedCalls()) {
    const bool work = call.find("WorkerService") != std::string::npos;
    const bool health = call.find("Health") != std::string::npos;
    EXPECT_EQ(May(Role::kWorker, call), work || health) << call;
    if (work) {
      EXPECT_FALSE(May(Role::kViewer, call)) << call;
      EXPECT_FALSE(May(Role::kSubmitter, call)) << call;
    }
  }
}

TEST(Authorization, AViewerReadsAndASubmitterReadsAndChanges) {
  for (const char* reads : {"Validate", "GetCampaign", "ListCampaigns", "WatchCampaign",
                            "StreamResults", "GetTrial", "ListWorkers"}) {
    EXPECT_TRUE(May(Role::kViewer, Campaigns(reads))) << reads;
    EXPECT_TRUE(May(Role::kSubmitter, Campaigns(reads))) << reads;
  }
  for (const char* changes : {"Submit", "PauseCampaign", "ResumeCampaign", "CancelCampaign"}) {
    EXPECT_FALSE(May(Role::kViewer, Campaigns(changes))) << changes;
    EXPECT_TRUE(May(Role::kSubmitter, Campaigns(changes))) << changes;
  }
}

TEST(Authorization, SaysWhyNot) {
  const absl::Status denied = Authorize(Work("LeaseJobs"), Identity{Role::kViewer, "ann"});
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(denied.message()),
              AllOf(HasSubstr("ann"), HasSubstr("viewer"), HasSubstr("LeaseJobs")));
  const absl::StatusOr<Identity> nobody = absl::UnauthenticatedError("who?");
  EXPECT_EQ(Authorize(Campaigns("Submit"), nobody), nobody.status());
  EXPECT_TRUE(Authorize("/grpc.health.v1.Health/Check", nobody).ok());
}

TEST(Authorization, WhatTheTableDoesNotHaveNobodyMayCall) {
  for (const Role role : kRoles) {
    for (const char* path : {"", "/", "Submit", "/bitquake.v1.CampaignService/submit",
                             "/bitquake.v1.CampaignService/Submit/", "/x.CampaignService/Submit"}) {
      EXPECT_FALSE(May(role, path)) << path;
    }
  }
}

TEST(Authorization, TheReadmeShowsTheTable) {
  EXPECT_THAT(ReadFile(BITQUAKE_SOURCE_DIR "/README.md").value(), HasSubstr(AuthorizationTable()))
      << "README.md should have:\n"
      << AuthorizationTable();
}

}  // namespace
}  // namespace bitquake
