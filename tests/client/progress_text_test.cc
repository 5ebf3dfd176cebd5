#include "client/cli/progress_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

CampaignStatus Running() {
  CampaignStatus status;
  status.name = "vit-b16-blocks";
  status.state = "running";
  status.jobs_total = 12000;
  status.jobs_done = 7440;
  status.images_per_second = 1234.4;
  status.eta_seconds = 185;
  status.workers = 2;
  status.worst_cell = "vit_base_patch16_224.augreg_in21k_ft_in1k int8 blocks.3 at 1.00e-05";
  status.worst_target_at = "blocks.3 at 1.00e-05";
  status.worst_target = "blocks.3";
  status.worst_half_width = 2.414;
  return status;
}

TEST(ProgressText, SaysEverythingWhereThereIsRoom) {
  EXPECT_EQ(ProgressText(Running(), absl::ZeroDuration(), 200, /*colour=*/false),
            "vit-b16-blocks  7440/12000 62%  1234 images/s  3m05s left  2 workers  worst "
            "vit_base_patch16_224.augreg_in21k_ft_in1k int8 blocks.3 at 1.00e-05 +-2.41 pp");
}

TEST(ProgressText, AnEightyColumnTerminalShowsDoneSpeedTimeWorkersAndWorst) {
  const std::string line = ProgressText(Running(), absl::ZeroDuration(), 79, /*colour=*/false);
  EXPECT_LE(line.size(), 79u);
  for (const char* part :
       {"7440/12000 62%", "1234 img/s", "3m05s left", "2 workers", "worst blocks.3", "+-2.41 pp"}) {
    EXPECT_THAT(line, HasSubstr(part));
  }
}

TEST(ProgressText, FitsAnyWidthAndKeepsTheCountsLongest) {
  CampaignStatus status = Running();
  status.name = std::string(60, 'n');
  status.jobs_poisoned = 3;
  for (size_t width = 1; width < 200; ++width) {
    EXPECT_LE(ProgressText(status, absl::ZeroDuration(), width, false).size(), width);
  }
  EXPECT_THAT(ProgressText(status, absl::ZeroDuration(), 45, false),
              HasSubstr("7440/12000 62%  3 poisoned"));
}

TEST(ProgressText, TimeLeftRunsDownBetweenStates) {
  const auto at = [](absl::Duration age) { return ProgressText(Running(), age, 79, false); };
  EXPECT_THAT(at(absl::Seconds(5)), HasSubstr("3m00s left"));
  EXPECT_THAT(at(absl::Hours(1)), HasSubstr("  1s left"));
}

TEST(ProgressText, WhatIsUnknownIsLeftOut) {
  CampaignStatus status;
  status.name = "demo";
  status.state = "probing";
  EXPECT_EQ(ProgressText(status, absl::ZeroDuration(), 79, false), "demo  probing");
  status.state = "running";
  status.jobs_total = 40;
  EXPECT_EQ(ProgressText(status, absl::ZeroDuration(), 79, false), "demo  0/40 0%  0 workers");
  status.jobs_expected = 100;
  status.jobs_done = 25;
  EXPECT_THAT(ProgressText(status, absl::ZeroDuration(), 79, false), HasSubstr("25/~100 25%"));
}

TEST(ProgressText, ColoursTakeNoColumnAndOnlyWhereAskedFor) {
  CampaignStatus status = Running();
  status.jobs_poisoned = 1;
  const std::string plain = ProgressText(status, absl::ZeroDuration(), 90, /*colour=*/false);
  const std::string coloured = ProgressText(status, absl::ZeroDuration(), 90, /*colour=*/true);
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_THAT(coloured, HasSubstr("\x1b[31m1 poisoned\x1b[0m"));
  EXPECT_THAT(coloured, SizeIs(plain.size() + 9));
}

TEST(ProgressText, NamesCannotMoveTheCursor) {
  CampaignStatus status = Running();
  status.worst_cell = "m int8 a\x1b[2Jb\nc at 1";
  EXPECT_THAT(ProgressText(status, absl::ZeroDuration(), 200, false), HasSubstr("a [2Jb c"));
}

TEST(FitText, CutsBetweenCharacters) {
  EXPECT_EQ(FitText("short", 10), "short");
  EXPECT_EQ(FitText("much too long", 8), "much ...");
  EXPECT_EQ(FitText("äöüäöüäöü", 6), "äöü...");
  EXPECT_EQ(FitText("äöü", 2), "äö");
}

}  // namespace
}  // namespace bitquake
