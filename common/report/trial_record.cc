#include "common/report/trial_record.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

struct Count {
  const char* name;
  int64_t TrialCounts::*member;
};
constexpr Count kCounts[] = {{"images", &TrialCounts::images},
                             {"top1", &TrialCounts::top1},
                             {"top5", &TrialCounts::top5},
                             {"golden_top1", &TrialCounts::golden_top1},
                             {"golden_top5", &TrialCounts::golden_top5},
                             {"sdc", &TrialCounts::sdc},
                             {"due", &TrialCounts::due},
                             {"inferences", &TrialCounts::inferences}};

// Collects lines that say where two measurements differ.
class Comparison {
 public:
  void Check(absl::string_view name, const std::string& stored, const std::string& now) {
    if (stored != now) {
      lines_.push_back(
          absl::StrCat(where_, name, " is ", Shown(stored), " stored, ", Shown(now), " now"));
    }
  }
  void Check(absl::string_view name, int64_t stored, int64_t now) {
    Check(name, absl::StrCat(stored), absl::StrCat(now));
  }
  void Check(const TrialCounts& stored, const TrialCounts& now) {
    for (const Count& count : kCounts) {
      Check(count.name, stored.*count.member, now.*count.member);
    }
  }
  void Within(const std::string& where) { where_ = where; }
  std::vector<std::string> Take() && { return std::move(lines_); }

 private:
  static std::string Shown(const std::string& value) { return value.empty() ? "none" : value; }

  std::string where_;
  std::vector<std::string> lines_;
};

Json CountsToJson(const TrialCounts& counts) {
  Json json;
  for (const Count& count : kCounts) {
    json[count.name] = counts.*count.member;
  }
  return json;
}

TrialCounts CountsFromJson(const Json& json) {
  TrialCounts counts;
  for (const Count& count : kCounts) {
    counts.*count.member = json.at(count.name);
  }
  return counts;
}

absl::StatusOr<Bitmap> BitmapFromHex(int64_t images, const std::string& hex) {
  return hex.empty() ? Bitmap() : Bitmap::FromBytes(images, absl::HexStringToBytes(hex));
}

Json FoldToJson(const FoldMeasurement& fold) {
  Json json = CountsToJson(fold.counts);
  json["fold"] = fold.fold;
  json["right_to_wrong"] = fold.right_to_wrong;
  json["wrong_to_right"] = fold.wrong_to_right;
  json["digest"] = fold.digest;
  json["device_kind"] = fold.device_kind;
  json["golden_digest"] = fold.golden_digest;
  json["golden_device_kind"] = fold.golden_device_kind;
  json["correct"] = ToHex(fold.correct.bytes());
  json["same"] = ToHex(fold.same.bytes());
  json["attention_digest"] = fold.attention_digest;
  return json;
}

absl::StatusOr<FoldMeasurement> FoldFromJson(const Json& json) {
  FoldMeasurement fold;
  fold.counts = CountsFromJson(json);
  fold.fold = json.at("fold");
  fold.right_to_wrong = json.at("right_to_wrong");
  fold.wrong_to_right = json.at("wrong_to_right");
  fold.digest = json.at("digest");
  fold.device_kind = json.at("device_kind");
  fold.golden_digest = json.at("golden_digest");
  fold.golden_device_kind = json.at("golden_device_kind");
  fold.attention_digest = json.at("attention_digest");
  ASSIGN_OR_RETURN(fold.correct, BitmapFromHex(fold.counts.images, json.at("correct")));
  ASSIGN_OR_RETURN(fold.same, BitmapFromHex(fold.counts.images, json.at("same")));
  return fold;
}

// `read` may throw nlohmann's exceptions.
template <typename T, typename Read>
absl::StatusOr<T> FromJson(absl::string_view what, absl::string_view text, Read read) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    return read(json);
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace

std::vector<std::string> Differences(const TrialMeasurement& stored, const TrialMeasurement& now) {
  Comparison comparison;
  comparison.Check("faults_digest", stored.faults_digest, now.faults_digest);
  comparison.Check("flips", stored.flips, now.flips);
  comparison.Check("flips_per_bit", absl::StrJoin(stored.flips_per_bit, " "),
                   absl::StrJoin(now.flips_per_bit, " "));
  comparison.Check(stored.sum, now.sum);
  std::map<int, std::pair<FoldMeasurement, FoldMeasurement>> folds;
  for (const FoldMeasurement& fold : stored.folds) {
    folds[fold.fold].first = fold;
  }
  for (const FoldMeasurement& fold : now.folds) {
    folds[fold.fold].second = fold;
  }
  for (const auto& [number, fold] : folds) {
    const auto& [before, after] = fold;
    comparison.Within(absl::StrCat("fold ", number, ": "));
    comparison.Check("golden_digest", before.golden_digest, after.golden_digest);
    comparison.Check(before.counts, after.counts);
    comparison.Check("right_to_wrong", before.right_to_wrong, after.right_to_wrong);
    comparison.Check("wrong_to_right", before.wrong_to_right, after.wrong_to_right);
    comparison.Check("digest", before.digest, after.digest);
    comparison.Check("correct", ToHex(before.correct.bytes()), ToHex(after.correct.bytes()));
    comparison.Check("same", ToHex(before.same.bytes()), ToHex(after.same.bytes()));
    comparison.Check("attention_digest", before.attention_digest, after.attention_digest);
  }
  return std::move(comparison).Take();
}

std::vector<std::string> OtherDeviceKinds(const TrialMeasurement& stored,
                                          const TrialMeasurement& now) {
  std::vector<std::string> here;
  for (const FoldMeasurement& fold : now.folds) {
    here.push_back(fold.device_kind);
  }
  std::vector<std::string> others;
  for (const FoldMeasurement& fold : stored.folds) {
    for (const std::string& kind : {fold.device_kind, fold.golden_device_kind}) {
      if (std::find(here.begin(), here.end(), kind) == here.end() &&
          std::find(others.begin(), others.end(), kind) == others.end()) {
        others.push_back(kind);
      }
    }
  }
  return others;
}

std::string ToJson(const TrialSetup& setup) {
  return Json{{"campaign", setup.resolved_json},
              {"data_digest", setup.data_digest},
              {"model", setup.model},
              {"model_digest", setup.model_digest},
              {"chunk", setup.chunk},
              {"format", setup.format},
              {"granularity_index", setup.granularity_index},
              {"target", setup.target},
              {"ber", setup.ber},
              {"fault", setup.fault},
              {"trial", setup.trial},
              {"folds", setup.folds}}
      .dump(1);
}

absl::StatusOr<TrialSetup> TrialSetupFromJson(absl::string_view text) {
  return FromJson<TrialSetup>("trial", text, [](const Json& json) {
    TrialSetup setup;
    setup.resolved_json = json.at("campaign");
    setup.data_digest = json.at("data_digest");
    setup.model = json.at("model");
    setup.model_digest = json.at("model_digest");
    setup.chunk = json.at("chunk");
    setup.format = json.at("format");
    setup.granularity_index = json.at("granularity_index");
    setup.target = json.at("target");
    setup.ber = json.at("ber");
    setup.fault = json.at("fault");
    setup.trial = json.at("trial");
    setup.folds = json.at("folds").get<std::vector<int>>();
    return setup;
  });
}

std::string ToJson(const TrialMeasurement& measured) {
  Json json = {{"faults_digest", measured.faults_digest},
               {"flips", measured.flips},
               {"flips_per_bit", measured.flips_per_bit},
               {"sum", CountsToJson(measured.sum)},
               {"folds", Json::array()}};
  for (const FoldMeasurement& fold : measured.folds) {
    json["folds"].push_back(FoldToJson(fold));
  }
  return json.dump(1);
}

absl::StatusOr<TrialMeasurement> TrialMeasurementFromJson(absl::string_view text) {
  return FromJson<TrialMeasurement>(
      "measurement", text, [](const Json& json) -> absl::StatusOr<TrialMeasurement> {
        TrialMeasurement measured;
        measured.faults_digest = json.at("faults_digest");
        measured.flips = json.at("flips");
        measured.flips_per_bit = json.at("flips_per_bit").get<std::vector<int64_t>>();
        measured.sum = CountsFromJson(json.at("sum"));
        for (const Json& fold : json.at("folds")) {
          ASSIGN_OR_RETURN(FoldMeasurement read, FoldFromJson(fold));
          measured.folds.push_back(std::move(read));
        }
        return measured;
      });
}

}  // namespace bitquake
