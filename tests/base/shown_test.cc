#include "common/base/shown.h"

#include <gtest/gtest.h>

namespace bitquake {
namespace {

TEST(Shown, IsSafeAndShort) {
  EXPECT_EQ(Shown("a\x1b[31m"), "a\\033[31m");
  EXPECT_EQ(Shown("donn\xC3\xA9"
                  "es"),
            "donn\xC3\xA9"
            "es");
  const std::string long_text = std::string(79, 'a') + "\xC3\xA9 and more";
  EXPECT_EQ(Shown(long_text), std::string(79, 'a') + "...");
}

}  // namespace
}  // namespace bitquake
