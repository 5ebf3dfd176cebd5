#include "common/base/process.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <cstdlib>

#include "common/base/digest.h"

namespace bitquake {
namespace {

// Handlers run in the reverse order of their registration: this one after OpenSSL's, if it has one.
void LeaveWithOpenSslWhole(bool keep) {
  std::atexit([] { _exit(OPENSSL_init_crypto(0, nullptr) == 1 ? 7 : 8); });
  if (keep) {
    KeepOpenSsl();
  }
  Sha256("it is used");
  std::exit(0);
}

TEST(KeepOpenSslDeathTest, LeavesItWholeToThreadsThatOutliveMain) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";  // a process of its own, where it is unused
  EXPECT_EXIT(LeaveWithOpenSslWhole(true), testing::ExitedWithCode(7), "");
  EXPECT_EXIT(LeaveWithOpenSslWhole(false), testing::ExitedWithCode(8), "") << "as without it";
}

}  // namespace
}  // namespace bitquake
