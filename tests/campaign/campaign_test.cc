#include "common/campaign/campaign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kMinimal[] = "name: n\nmodels: [m]\ndataset: d\nber: 1e-6\n";

Campaign Parsed(absl::string_view text) {
  absl::StatusOr<Campaign> campaign = ParseCampaign(text, "f.yaml");
  EXPECT_TRUE(campaign.ok()) << campaign.status();
  return campaign.ok() ? *std::move(campaign) : Campaign();
}

std::string ErrorOf(absl::string_view text) {
  return std::string(ParseCampaign(text, "campaign.yaml").status().message());
}

TEST(Campaign, DefaultsAreAsDocumented) {
  const Campaign campaign = Parsed(kMinimal);
  EXPECT_EQ(campaign.name, "n");
  EXPECT_EQ(campaign.seed, 0u);
  EXPECT_THAT(campaign.models, ElementsAre("m"));
  EXPECT_EQ(campaign.dataset, "d");
  ASSERT_EQ(campaign.formats.size(), 1u);
  EXPECT_EQ(campaign.formats[0].Name(), "int8");
  ASSERT_EQ(campaign.granularities.size(), 1u);
  EXPECT_EQ(campaign.granularities[0].Name(), "model");
  EXPECT_THAT(campaign.ber, ElementsAre(1e-6));
  EXPECT_EQ(campaign.trials.min, 10);
  EXPECT_EQ(campaign.trials.max, 10);
  EXPECT_EQ(campaign.trials.confidence, 0.95);
  EXPECT_EQ(campaign.trials.interval, IntervalMethod::kStudent);
  EXPECT_FALSE(campaign.search.has_value());
  EXPECT_EQ(campaign.images.kind, ImageSelection::Kind::kAll);
  EXPECT_EQ(campaign.folds, 0);
  EXPECT_EQ(campaign.compute, "fp32");
  EXPECT_EQ(campaign.faults[0].kind, FaultModel::Kind::kBitFlip);
  EXPECT_EQ(campaign.faults[0].sampling, FaultModel::Sampling::kBernoulli);
  EXPECT_THAT(campaign.faults[0].positions, IsEmpty());
  EXPECT_EQ(campaign.quantization.scale, Quantization::Scale::kPerTensor);
  EXPECT_EQ(campaign.quantization.percentile, 100);
  EXPECT_THAT(campaign.surface.include, IsEmpty());
  EXPECT_THAT(campaign.surface.exclude, IsEmpty());
  EXPECT_FALSE(campaign.keep_images);
  EXPECT_EQ(campaign.attention_distance, Campaign::AttentionDistance::kNone);
}

TEST(Campaign, ReadsEveryField) {
  const Campaign campaign = Parsed(
      "name: all\nseed: 18446744073709551615\nmodels: [a/b, c]\ndataset: d\n"
      "formats: [int16, fp32]\ngranularities: [block, {head: {blocks: [2], types: [v]}}]\n"
      "fault: {kind: bit_flip, sampling: bernoulli}\nber: {from: 1e-3, to: 1e-2, per_decade: 1}\n"
      "trials: 3\nimages: {spread: 2}\nfolds: 4\ncompute: fp32\n");
  EXPECT_EQ(campaign.seed, UINT64_MAX);
  EXPECT_THAT(campaign.models, ElementsAre("a/b", "c"));
  ASSERT_EQ(campaign.formats.size(), 2u);
  EXPECT_EQ(campaign.formats[0].bits, 16);
  EXPECT_EQ(campaign.formats[1].kind, NumberFormat::Kind::kFp32);
  ASSERT_EQ(campaign.granularities.size(), 2u);
  EXPECT_EQ(campaign.granularities[1].kind, Granularity::Kind::kHead);
  EXPECT_THAT(campaign.granularities[1].blocks, ElementsAre(2));
  EXPECT_THAT(campaign.granularities[1].types, ElementsAre(QkvType::kV));
  EXPECT_THAT(campaign.ber, ElementsAre(1e-3, 1e-2));
  EXPECT_EQ(campaign.trials.max, 3);
  EXPECT_EQ(campaign.images.kind, ImageSelection::Kind::kSpread);
  EXPECT_EQ(campaign.images.count, 2);
  EXPECT_EQ(campaign.folds, 4);
}

TEST(Campaign, TrialsAreANumberOrARule) {
  const auto trials = [](absl::string_view value) {
    return Parsed(absl::StrCat(kMinimal, "trials: ", value)).trials;
  };
  EXPECT_FALSE(trials("7").adaptive());
  EXPECT_EQ(trials("7").min, 7);
  const TrialDesign rule = trials("{half_width: 0.25}");
  EXPECT_TRUE(rule.adaptive());
  EXPECT_EQ(rule.min, 10);
  EXPECT_EQ(rule.max, 500);
  EXPECT_EQ(rule.half_width, 0.25);
  EXPECT_EQ(rule.confidence, 0.95);
  EXPECT_FALSE(trials("{min: 20, max: 20, confidence: 0.9}").adaptive());
  EXPECT_EQ(trials("{min: 20, max: 20, confidence: 0.9}").confidence, 0.9);
}

TEST(Campaign, ASearchChoosesFromItsGrid) {
  const Campaign campaign = Parsed(
      "name: n\nmodels: [m]\ndataset: d\n"
      "ber: {search: {loss: [10, 1], from: 1e-4, to: 1e-2, per_decade: 1}}\ninterval: bca\n");
  ASSERT_TRUE(campaign.search.has_value());
  EXPECT_THAT(campaign.search->losses, ElementsAre(1, 10));
  EXPECT_THAT(campaign.ber, ElementsAre(1e-4, 1e-3, 1e-2));
  EXPECT_EQ(campaign.trials.interval, IntervalMethod::kBca);
}

TEST(Campaign, ImagesTakeFourForms) {
  using Kind = ImageSelection::Kind;
  const auto images = [](absl::string_view value) {
    return Parsed(absl::StrCat(kMinimal, "images: ", value)).images;
  };
  EXPECT_EQ(images("all").kind, Kind::kAll);
  EXPECT_EQ(images("spread").kind, Kind::kSpread);
  EXPECT_EQ(images("spread").count, 1);
  EXPECT_EQ(images("{spread: 3}").count, 3);
  EXPECT_EQ(images("{first: 1000}").kind, Kind::kFirst);
  EXPECT_EQ(images("{first: 1000}").count, 1000);
}

TEST(Campaign, BitErrorRatesAreSortedAndDistinct) {
  EXPECT_THAT(Parsed("name: n\nmodels: [m]\ndataset: d\nber: [1e-3, 0, 1, 1.0e-3, 1e-9]\n").ber,
              ElementsAre(0, 1e-9, 1e-3, 1));
}

TEST(Campaign, IntegersMayBeWrittenWithAnExponent) {
  EXPECT_EQ(Parsed(absl::StrCat(kMinimal, "trials: 1e3")).trials.max, 1000);
  EXPECT_EQ(ErrorOf(absl::StrCat(kMinimal, "trials: 1.5e0")),
            "campaign.yaml:5:9: trials: expected an integer, found the number 1.5e0");
}

TEST(Campaign, TypingErrorIsNamedWithItsPlaceAndTheNearestField) {
  EXPECT_EQ(ErrorOf(absl::StrCat(kMinimal, "trails: 10\n")),
            "campaign.yaml:5:1: unknown field 'trails'; did you mean 'trials'?");
}

TEST(Campaign, AllProblemsAreReportedInOrderOfPlace) {
  EXPECT_EQ(
      ErrorOf("dataset: 7\nber: [2, 1e-6, x]\nname: n\nmodel: [m]\nname: n2\n"),
      "campaign.yaml:1:1: missing field 'models': Folders below the model root; in `bitquake "
      "run` also paths\n"
      "campaign.yaml:1:10: dataset: expected a data set's name, found the number 7; put it in "
      "quotes\n"
      "campaign.yaml:2:7: ber[0]: 2 is above the largest allowed, 1\n"
      "campaign.yaml:2:16: ber[2]: expected a number, found text 'x'\n"
      "campaign.yaml:4:1: unknown field 'model'; did you mean 'models'?\n"
      "campaign.yaml:5:1: field 'name' is given twice; leave one out");
}

TEST(Campaign, ReadsHowWeightsAreStoredAndWhatIsHit) {
  const Campaign campaign = Parsed(
      absl::StrCat(kMinimal,
                   "formats: [fixed(2.6), fp8_e4m3]\nscale: per_channel\n"
                   "observer: {percentile: 99.9}\nsurface: {include: [norm, '\\.bias$'], exclude: "
                   "[head]}\nkeep: images\nattention_distance: faulty\n"));
  ASSERT_EQ(campaign.formats.size(), 2u);
  EXPECT_EQ(campaign.formats[0].kind, NumberFormat::Kind::kFixed);
  EXPECT_EQ(campaign.formats[0].bits, 8);
  EXPECT_EQ(campaign.formats[0].fraction_bits, 6);
  EXPECT_EQ(campaign.formats[1].kind, NumberFormat::Kind::kFp8E4m3);
  EXPECT_EQ(campaign.quantization.scale, Quantization::Scale::kPerChannel);
  EXPECT_EQ(campaign.quantization.percentile, 99.9);
  EXPECT_THAT(campaign.surface.include, ElementsAre("norm", "\\.bias$"));
  EXPECT_THAT(campaign.surface.exclude, ElementsAre("head"));
  EXPECT_TRUE(campaign.keep_images);
  EXPECT_EQ(campaign.attention_distance, Campaign::AttentionDistance::kFaulty);
}

TEST(Campaign, FaultModelsTakeTheirFields) {
  using Kind = FaultModel::Kind;
  using Sampling = FaultModel::Sampling;
  const auto fault = [](absl::string_view value) {
    return Parsed(absl::StrCat(kMinimal, "fault: ", value)).faults[0];
  };
  EXPECT_EQ(fault("stuck_at_1").kind, Kind::kStuckAt1);
  EXPECT_EQ(fault("word").kind, Kind::kWord);
  EXPECT_EQ(fault("{kind: word}").kind, Kind::kWord);
  const FaultModel exact = fault("{kind: stuck_at_0, sampling: exact, bits: [7, 3]}");
  EXPECT_EQ(exact.kind, Kind::kStuckAt0);
  EXPECT_EQ(exact.sampling, Sampling::kExact);
  EXPECT_THAT(exact.positions, ElementsAre(3, 7));
  EXPECT_EQ(fault("{kind: bit_flip, sampling: bernoulli}").sampling, Sampling::kBernoulli);
  for (const char* burst : {"{kind: burst, length: 3}", "{burst: 3}"}) {
    EXPECT_EQ(fault(burst).kind, Kind::kBurst);
    EXPECT_EQ(fault(burst).burst_length, 3);
  }
}

// Of a campaign whose faults have no rate.
constexpr char kWithoutBer[] = "name: n\nmodels: [m]\ndataset: d\n";

TEST(Campaign, CountsOfFaultsHaveNoRate) {
  const Campaign campaign =
      Parsed(absl::StrCat(kWithoutBer, "fault: {kind: bit_flip, count: 5}\ntrials: 3\n"));
  EXPECT_EQ(campaign.faults[0].sampling, FaultModel::Sampling::kCount);
  EXPECT_EQ(campaign.faults[0].count, 5);
  EXPECT_THAT(campaign.ber, IsEmpty());
  EXPECT_EQ(campaign.trials.max, 3);
  EXPECT_THAT(ToJson(campaign), Not(HasSubstr("\"ber\"")));
}

TEST(Campaign, ListsOfFaultsHaveOneTrial) {
  const Campaign campaign = Parsed(absl::StrCat(
      kWithoutBer, "fault: {kind: list, faults: \"tensor,index,bit\\nw,12,3\\r\\nb,0,0\"}\n"));
  EXPECT_EQ(campaign.faults[0].kind, FaultModel::Kind::kList);
  ASSERT_EQ(campaign.faults[0].list.size(), 2u);
  EXPECT_EQ(campaign.faults[0].list[0].tensor, "w");
  EXPECT_EQ(campaign.faults[0].list[0].index, 12);
  EXPECT_EQ(campaign.faults[0].list[0].bit, 3);
  EXPECT_EQ(campaign.trials.max, 1);
  EXPECT_THAT(ToJson(campaign), HasSubstr("\"trials\": 1,"));
}

TEST(Campaign, FileOfFaultsIsReadByWhoeverCan) {
  const std::string text = absl::StrCat(kWithoutBer, "fault: {kind: list, file: dir/f.csv}\n");
  std::string asked;
  const auto read = [&asked](const std::string& name) -> absl::StatusOr<std::string> {
    asked = name;
    return std::string("tensor,index,bit\nw,1,2\n");
  };
  const absl::StatusOr<Campaign> campaign = ParseCampaign(text, "f.yaml", read);
  ASSERT_TRUE(campaign.ok()) << campaign.status();
  EXPECT_EQ(asked, "dir/f.csv");
  ASSERT_EQ(campaign->faults[0].list.size(), 1u);
  EXPECT_THAT(ToJson(*campaign), HasSubstr("\"faults\": \"tensor,index,bit\\nw,1,2\\n\""));
  EXPECT_EQ(ErrorOf(text),
            "campaign.yaml:4:27: fault.file: a file is read by the client, and not here; give its "
            "text as {kind: list, faults: \"tensor,index,bit\\n...\"}");
  EXPECT_EQ(ErrorOf(absl::StrCat(kWithoutBer, "fault: {list: f.csv}\n")).substr(0, 45),
            "campaign.yaml:4:15: fault.list: a file is rea");
}

TEST(Campaign, EveryKnownFormatIsOneForTheParser) {
  for (const NumberFormat& format : KnownFormats()) {
    const Campaign campaign = Parsed(absl::StrCat(kMinimal, "formats: ['", format.Name(), "']\n"));
    ASSERT_EQ(campaign.formats.size(), 1u);
    EXPECT_EQ(campaign.formats[0].Name(), format.Name());
  }
}

TEST(Campaign, JsonSchemaTakesTheNamesOfFormatsThatTheParserTakes) {
  const Json schema = Json::parse(CampaignJsonSchema());
  const std::regex pattern(schema["properties"]["formats"]["items"]["pattern"].get<std::string>());
  std::vector<std::string> names = {"fp32",     "fp16",  "bf16",   "fp8_e4m3",     "fp8_e5m2",
                                    "fp8",      "FP32",  "fp321",  "fixed(02.6)",  "fixed(2.06)",
                                    "fixed(2)", "fixed", "posit8", "fixed(2.6) ",  "xfp32",
                                    "int08",    "int",   "",       "fixed(2.6)\n", "fixed(-1.6)"};
  for (int m = 0; m <= 34; ++m) {
    names.push_back(absl::StrCat("int", m));
    for (int n = 0; n <= 34; ++n) {
      names.push_back(absl::StrCat("fixed(", m, ".", n, ")"));
    }
  }
  int taken = 0;
  for (const std::string& name : names) {
    const bool known = NumberFormat::FromName(name).ok();
    taken += known ? 1 : 0;
    EXPECT_EQ(std::regex_match(name, pattern), known) << name;
  }
  EXPECT_EQ(taken, static_cast<int>(KnownFormats().size()));
}

TEST(Campaign, FieldsOfLaterVersionsAreUnknown) {
  EXPECT_THAT(ErrorOf(absl::StrCat(kMinimal, "confidence: 0.95\n")), HasSubstr("unknown field"));
}

TEST(Campaign, ResolvedFormStatesEveryDefault) {
  EXPECT_EQ(ToJson(Parsed(kMinimal)), R"({
  "name": "n",
  "seed": 0,
  "models": [
    "m"
  ],
  "dataset": "d",
  "formats": [
    "int8"
  ],
  "scale": "per_tensor",
  "observer": "absmax",
  "surface": {},
  "granularities": [
    "model"
  ],
  "fault": {
    "kind": "bit_flip",
    "sampling": "bernoulli"
  },
  "ber": [
    1e-06
  ],
  "trials": 10,
  "interval": "t",
  "images": "all",
  "folds": 0,
  "compute": "fp32",
  "keep": "none",
  "attention_distance": "none"
}
)");
}

TEST(Campaign, PlainNamesStayBelowTheirRoot) {
  for (const char* name :
       {"m", "a/b", "vit_base_patch16_224.augreg_in21k_ft_in1k", "a..b", "d\xC3\xA9"}) {
    EXPECT_TRUE(CheckPlainName(name).ok()) << name;
  }
  for (const char* name : {"", "/etc", "..", "../a", "a/../b", "a/..", ".", "./a", ".hidden",
                           "a/.git", "a\\b", "a//b", "a/", "a\nb", "a\x7F", "\xFF"}) {
    EXPECT_EQ(CheckPlainName(name).code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(CheckPlainName(absl::string_view("a\0b", 3)).ok());
  EXPECT_EQ(CheckPlainName("../a").message(),
            "name '../a' has a part that begins with '.'; give a folder below the root");
}

TEST(Campaign, ReferenceNamesEveryField) {
  const std::string reference = CampaignReference();
  for (const char* row :
       {"| `name` | a name | required | Names the campaign in results and folders. |",
        "| `trials` | an integer or {min, max, half_width, confidence} | `10` | Independent draws "
        "of faults in each cell. Of a list of faults, 1. A map: as many as it takes",
        "| `trials.half_width` | a number, above 0 to 100 | `0.5` |",
        "| `interval` | t, bca or bernstein | `t` |", "| `ber.search.from` |",
        "| `ber.per_decade` | an integer, 1 to 1000 | required |",
        "| `granularities[].head.types` | a list of q, k and v (at most 3), each q, k or v |",
        "| `images.first` |", "| `fault.sampling` | bernoulli or exact | `bernoulli` |",
        "| `fault.burst` | an integer, 2 to 32 | required | Short for"}) {
    EXPECT_THAT(reference, HasSubstr(row));
  }
  // All kinds of faults have it, one by one and in a list.
  const std::string shared = "protect[].match` |";
  EXPECT_THAT(reference, HasSubstr(shared));
  EXPECT_EQ(reference.find(shared), reference.rfind(shared));
}

TEST(Campaign, JsonSchemaIsOfDraft2020) {
  EXPECT_THAT(CampaignJsonSchema(),
              HasSubstr("\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""));
}

}  // namespace
}  // namespace bitquake
