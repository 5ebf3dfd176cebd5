#include "client/cli/doctor_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/build_info.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Verdict = Check::Verdict;

ServerStatus Server() {
  ServerStatus server;
  server.version = kVersion;
  server.workers = 2;
  server.round_trip = absl::Milliseconds(20);
  return server;
}

TEST(DoctorChecks, AServerThatAnswersIsGood) {
  const std::vector<Check> checks = CheckServer("host:1", Server());
  ASSERT_THAT(checks, SizeIs(2));
  EXPECT_EQ(checks[0].verdict, Verdict::kGood);
  EXPECT_THAT(checks[0].finding, HasSubstr("host:1 answers in 20.0 ms"));
  EXPECT_THAT(checks[0].finding, HasSubstr("2 workers"));
  EXPECT_EQ(checks[1].verdict, Verdict::kGood);
}

TEST(DoctorChecks, AClockThatIsOffIsSaidWithItsDirection) {
  ServerStatus server = Server();
  server.clock_ahead = absl::Seconds(-90);
  const Check behind = CheckServer("host:1", server)[1];
  EXPECT_EQ(behind.verdict, Verdict::kWarning);
  EXPECT_THAT(behind.finding, HasSubstr("90.00 s behind this one"));
  EXPECT_THAT(behind.remedy, HasSubstr("NTP"));
  server.clock_ahead = absl::Seconds(3);
  EXPECT_THAT(CheckServer("host:1", server)[1].finding, HasSubstr("3.00 s ahead of this one"));
  // A slow answer proves nothing.
  server.round_trip = absl::Seconds(4);
  EXPECT_EQ(CheckServer("host:1", server)[1].verdict, Verdict::kGood);
}

TEST(DoctorChecks, OtherVersionsAndMissingWorkersAreWarnings) {
  ServerStatus server = Server();
  server.workers = 0;
  EXPECT_THAT(CheckServer("host:1", server)[0].remedy,
              HasSubstr("bitquake-worker --server host:1"));
  server.version = "0.0.1";
  const Check other = CheckServer("host:1", server)[0];
  EXPECT_EQ(other.verdict, Verdict::kWarning);
  EXPECT_THAT(other.remedy, HasSubstr("the same version"));
}

TEST(DoctorChecks, AServerThatDoesNotAnswerIsBad) {
  const std::vector<Check> checks = CheckServer("host:1", absl::UnavailableError("cannot reach"));
  ASSERT_THAT(checks, SizeIs(1));
  EXPECT_EQ(checks[0].verdict, Verdict::kBad);
  EXPECT_THAT(checks[0].remedy, HasSubstr("bitquake-server --db"));
}

TEST(DoctorChecks, WhatWasNotNamedIsUnchecked) {
  EXPECT_EQ(CheckModelRoot("").verdict, Verdict::kUnchecked);
  EXPECT_EQ(CheckDataRoot("").verdict, Verdict::kUnchecked);
}

}  // namespace
}  // namespace bitquake
