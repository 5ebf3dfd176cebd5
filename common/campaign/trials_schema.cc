#include "common/campaign/trials_schema.h"

#include <string>
#include <utility>

#include "absl/strings/strip.h"
#include "common/campaign/campaign.h"

namespace bitquake {
namespace {

// Any range will do where only the rest of a design is checked.
constexpr double kSomeRange = 100;

}  // namespace

FieldType TrialsType() {
  const TrialDesign defaults;
  MapType adaptive;
  adaptive.fields = {
      {"min",
       {IntegerType{1, kMaxTrials}},
       "The fewest trials of a cell; at least 8, unless it is max: stopping on the variance of "
       "fewer does not keep the confidence.",
       false,
       10u},
      {"max", {IntegerType{1, kMaxTrials}}, "The most trials of a cell.", false, 500u},
      {"half_width",
       {NumberType{0, false, 100}},
       "The half-width of the interval of mean top-1 at which a cell has trials enough, in "
       "percentage points.",
       false,
       defaults.half_width},
      {"confidence",
       {NumberType{0.8, true, 0.99}},
       "Of that interval, and of every other in the results.",
       false,
       defaults.confidence}};
  return {OneOfType{{{IntegerType{1, kMaxTrials}}, {std::move(adaptive)}}}};
}

FieldType IntervalType() { return {EnumType{"an interval", {"t", "bca", "bernstein"}}}; }

TrialDesign TrialsFromJson(const Json& trials, const Json& interval) {
  TrialDesign design;
  if (trials.is_object()) {
    design.min = trials.at("min").get<int64_t>();
    design.max = trials.at("max").get<int64_t>();
    design.half_width = trials.at("half_width").get<double>();
    design.confidence = trials.at("confidence").get<double>();
  } else {
    design = FixedTrials(trials.get<int64_t>());
  }
  design.interval = ParseIntervalMethod(interval.get<std::string>()).value();
  return design;
}

Json TrialsToJson(const TrialDesign& design) {
  const TrialDesign defaults;
  if (!design.adaptive() && design.half_width == defaults.half_width &&
      design.confidence == defaults.confidence) {
    return design.max;
  }
  return {{"min", design.min},
          {"max", design.max},
          {"half_width", design.half_width},
          {"confidence", design.confidence}};
}

std::optional<Complaint> CheckTrialDesign(const TrialDesign& design, bool searches) {
  if (design.min != design.max) {
    const absl::Status status = StoppingRule(design, kSomeRange).status();
    if (!status.ok()) {
      return Complaint{"trials", std::string(absl::StripPrefix(status.message(), "trials: "))};
    }
  }
  if (searches && design.max < 2) {
    return Complaint{"trials", "a search goes by intervals, which need 2 trials; give more than 1"};
  }
  return std::nullopt;
}

}  // namespace bitquake
