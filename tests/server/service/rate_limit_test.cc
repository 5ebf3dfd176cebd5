#include "server/service/rate_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

TEST(RateLimit, LetsABurstThroughAndThenSoManyASecond) {
  FakeClock clock;
  RateLimit limit(&clock, 3, 2);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limit.Admit("a").ok());
  }
  const absl::Status refused = limit.Admit("a");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("wait 0.5 s"));
  EXPECT_TRUE(limit.Admit("b").ok()) << "each peer has its own";
  clock.Advance(absl::Milliseconds(400));
  EXPECT_FALSE(limit.Admit("a").ok());
  clock.Advance(absl::Milliseconds(200));
  EXPECT_TRUE(limit.Admit("a").ok());
  EXPECT_FALSE(limit.Admit("a").ok());
  clock.Advance(absl::Hours(1));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limit.Admit("a").ok()) << "no more than a burst is saved";
  }
  EXPECT_FALSE(limit.Admit("a").ok());
}

TEST(RateLimit, ForgetsPeersThatWentAway) {
  FakeClock clock;
  RateLimit limit(&clock, 1, 1);
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_TRUE(limit.Admit(std::to_string(i)).ok());
    clock.Advance(absl::Milliseconds(1));
  }
  EXPECT_LE(limit.peers(), 10'001u);
}

TEST(RateLimit, AHostIsAPeerWhateverItsPort) {
  EXPECT_EQ(HostOfPeer("ipv4:10.0.0.7:41822"), "ipv4:10.0.0.7");
  EXPECT_EQ(HostOfPeer("ipv6:%5B::1%5D:41822"), "ipv6:%5B::1%5D");
  EXPECT_EQ(HostOfPeer("unix:"), "unix:");
}

}  // namespace
}  // namespace bitquake
