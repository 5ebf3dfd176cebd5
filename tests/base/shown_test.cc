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

TEST(Printable, HoldsNoControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[31m\r\nb\x7f"), "a?[31m??b?");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "2J \xC2\xA0\xC3\xA9\xC2"),
            "?2J \xC2\xA0\xC3\xA9\xC2");
  EXPECT_EQ(PrintableLines("a\n\x1b"
                           "b\n"),
            "a\n?b\n");
}

}  // namespace
}  // namespace bitquake
