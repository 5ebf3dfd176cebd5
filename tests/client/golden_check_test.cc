#include "client/cli/golden_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Verdict = Check::Verdict;

constexpr char kModel[] = "vit_base_patch16_224.augreg_in21k_ft_in1k";

std::vector<PublishedFigure> BuiltIn() {
  return ParsePublished(PublishedTable(), "published.csv").value();
}

Preprocessing AsTimmHasIt() {
  Preprocessing preprocessing;
  preprocessing.crop_pct = 0.9;
  return preprocessing;
}

Check Golden(int64_t top1, int64_t images = 50'000, const Preprocessing& as = AsTimmHasIt()) {
  return CheckGolden(kModel, as, {images, top1}, BuiltIn(), "the table");
}

TEST(GoldenCheck, TheTableHasTheSevenModelsOfThePaper) {
  for (const char* model :
       {"vit_base_patch16_224.augreg_in21k_ft_in1k", "vit_base_patch16_384.augreg_in21k_ft_in1k",
        "vit_base_patch32_224.augreg_in21k_ft_in1k", "vit_base_patch32_384.augreg_in21k_ft_in1k",
        "vit_large_patch16_384.augreg_in21k_ft_in1k", "vit_large_patch32_384.orig_in21k_ft_in1k",
        "vit_huge_patch14_clip_224.laion2b_ft_in12k_in1k"}) {
    const std::vector<PublishedFigure> figures = FiguresOf(model, BuiltIn());
    ASSERT_THAT(figures, SizeIs(1)) << model;
    EXPECT_EQ(figures[0].images, 50'000);
    EXPECT_GT(figures[0].parameters, 0);
  }
}

// 84.532% of 50,000 are 42,266; 0.03 points are 15 images.
TEST(GoldenCheck, FifteenImagesAreWithinTheTolerance) {
  for (const int64_t top1 : {42'251, 42'266, 42'281}) {
    EXPECT_EQ(Golden(top1).verdict, Verdict::kGood) << top1;
  }
  for (const int64_t top1 : {42'250, 42'282, 0}) {
    const Check check = Golden(top1);
    EXPECT_EQ(check.verdict, Verdict::kBad) << top1;
    EXPECT_THAT(check.finding, HasSubstr("published 84.532%"));
    EXPECT_THAT(check.remedy, HasSubstr(absl::StrCat("bitquake fetch-help ", kModel)));
  }
}

TEST(GoldenCheck, AFigureOfOtherImagesProvesNothing) {
  const Check check = Golden(42'265, 49'999);
  EXPECT_EQ(check.verdict, Verdict::kBad);
  EXPECT_THAT(check.finding, HasSubstr("the published figure is of 50000"));
  EXPECT_EQ(Golden(0, 0).verdict, Verdict::kBad);
}

TEST(GoldenCheck, OtherPreprocessingIsNamed) {
  Preprocessing cut = AsTimmHasIt();
  cut.crop_pct = 0.875;
  EXPECT_THAT(Golden(42'266, 50'000, cut).finding,
              HasSubstr("224 pixels, crop 0.875, bicubic, not 224 pixels, crop 0.9, bicubic"));
  Preprocessing filtered = AsTimmHasIt();
  filtered.interpolation = "bilinear";
  EXPECT_EQ(Golden(42'266, 50'000, filtered).verdict, Verdict::kBad);
}

TEST(GoldenCheck, AModelWithoutAFigureIsAWarning) {
  const Check check = CheckGolden("vit_base_patch16_224.augreg_in21k_ft_in1", AsTimmHasIt(),
                                  {50'000, 42'266}, BuiltIn(), "the table");
  EXPECT_EQ(check.verdict, Verdict::kWarning);
  EXPECT_THAT(check.finding, HasSubstr(absl::StrCat("did you mean '", kModel, "'")));
}

TEST(Published, ErrorsNameTheLine) {
  constexpr char kHeader[] =
      "# a comment\nmodel,dataset,images,side,crop_pct,interpolation,parameters,top1,source\n";
  const auto error = [&](const std::string& rows) {
    return std::string(ParsePublished(rows, "mine.csv").status().message());
  };
  EXPECT_THAT(ParsePublished(kHeader, "mine.csv").value(), IsEmpty());
  EXPECT_THAT(error("a,b,1,1,1,bicubic,0,50,x\n"),
              HasSubstr("mine.csv:1: should name the columns"));
  EXPECT_THAT(error(absl::StrCat(kHeader, "a,b,1,1,1,bicubic,0,50\n")),
              HasSubstr("mine.csv:3: has 8 fields"));
  for (const char* row : {"a,b,0,1,1,bicubic,0,50,x", "a,b,1,1,1,bicubic,0,101,x",
                          "a,b,1,1,0,bicubic,0,50,x", "a,b,1,1,1,bicubic,0,nan,x"}) {
    EXPECT_THAT(error(absl::StrCat(kHeader, row, "\n")), HasSubstr("mine.csv:3: ")) << row;
  }
}

}  // namespace
}  // namespace bitquake
