#include "client/cli/interruption.h"

#include <gtest/gtest.h>

#include <memory>

#include "common/base/process.h"

namespace bitquake {
namespace {

// A coordinator that stops waits until the connections of its clients are closed.
TEST(Interruption, DoesNotKeepTheClientsConnectionOpen) {
  BlockTerminationSignals();
  std::shared_ptr<Client> client = Client::Connect("unix:/nowhere");
  const std::weak_ptr<Client> kept = client;
  const std::shared_ptr<Interruption> interruption = Interruption::Await(
      client, [] {}, "");
  EXPECT_FALSE(kept.expired());
  client.reset();
  EXPECT_TRUE(kept.expired());
  interruption->Raise(absl::AbortedError("no client any more"));
  EXPECT_EQ(interruption->status(), absl::AbortedError("no client any more"));
}

}  // namespace
}  // namespace bitquake
