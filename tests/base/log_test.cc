#include "common/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cstdio>

#include "common/base/file.h"

namespace bitquake {
namespace {

TEST(Log, AnEventIsOneLineWhateverIsInIt) {
  const std::string path = testing::TempDir() + "/log_test.log";
  std::remove(path.c_str());
  StartLogging("bitquake-test", path);
  spdlog::warn("worker {}: failed", "w\n2026-01-01 info bitquake-server: forged\x1b[2J");
  const absl::StatusOr<std::string> text = ReadFile(path);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text,
              testing::MatchesRegex("[^\n]* warning bitquake-test\\[[0-9]+\\] worker w\\?2026[^\n]*"
                                    "forged\\?\\[2J: failed\n"));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace bitquake
