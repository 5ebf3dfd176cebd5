// A campaign, as a person states it: models x formats x granularities x bit-error rates x trials.
// The file's fields are described once, in schema.cc and what it calls; parsing, its errors, the
// JSON Schema and the reference documentation all come from there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/campaign/ber_search.h"
#include "common/campaign/fault_entry.h"
#include "common/fault/fault_list.h"
#include "common/fault/number_format.h"
#include "common/fault/target.h"
#include "common/stats/trial_design.h"

namespace bitquake {

// Which images a trial sees.
struct ImageSelection {
  enum class Kind {
    kAll,     // every fold
    kSpread,  // `count` folds a trial, rotating, so that trials cover the data set evenly
    kFirst,   // every fold of the data set's first `count` images
  };
  Kind kind = Kind::kAll;
  int64_t count = 0;
};

struct Campaign {
  std::string name;
  uint64_t seed = 0;
  std::vector<std::string> models;  // names below the model root (in `run` also paths)
  std::string dataset;              // likewise, below the data root
  std::vector<NumberFormat> formats;
  Quantization quantization;
  SurfaceSelection surface;
  std::vector<Granularity> granularities;
  std::vector<FaultModel> faults = std::vector<FaultModel>(1);  // of distinct labels
  // Ascending, distinct, in [0, 1]; none if no fault model has any. With `search`, the grid that it
  // chooses from.
  std::vector<double> ber;
  std::optional<BerSearch> search;
  TrialDesign trials;  // with `interval`
  ImageSelection images;
  int folds = 0;  // 0: 50, fewer on sets of less than 50 * 200 images
  std::string compute = "fp32";
  bool keep_images = false;  // `keep: images`: which images each trial had right, as bitmaps
  // `attention_distance`: mean attention distance (MAD) of each head.
  enum class AttentionDistance { kNone, kGolden, kFaulty };
  AttentionDistance attention_distance = AttentionDistance::kNone;
};

// The fault model that a cell of the campaign names; the only one of a campaign with one, whatever
// its name (older stores have shorter ones). Errors: InvalidArgument.
absl::StatusOr<const FaultModel*> FindFault(const Campaign& campaign, absl::string_view label);

// Whether the campaign searches the rates of such cells: its own, not a granularity's, nor those of
// a fault model that has none.
bool IsSearched(const Campaign& campaign, const FaultModel& fault, const Granularity& granularity);

// A model in a format.
struct CampaignVariant {
  std::string model;
  std::string format;
  bool measured = true;  // else only its golden accuracies
};

// Model by model, those of the campaign's formats in its order, and before them the reference
// (fp32), whose golden accuracies are always wanted, if it is none of them.
std::vector<CampaignVariant> VariantsOf(const Campaign& campaign);

// Limits on what a file may ask for; beyond them it is refused.
inline constexpr size_t kMaxCampaignFileBytes = 1 << 20;
inline constexpr int kMaxTrials = 1'000'000;

// Parses a campaign file (YAML, of which JSON is a part). `file_name` opens every error:
// "campaign.yaml:12:5: unknown field 'trails'; did you mean 'trials'?". `read` reads the file of
// faults that a campaign may name; without it, naming one is an error. Errors: InvalidArgument, one
// line for each problem found.
absl::StatusOr<Campaign> ParseCampaign(absl::string_view text, absl::string_view file_name,
                                       const FaultFileReader& read = nullptr);

// The resolved campaign, every default filled in; ParseCampaign accepts it and gives the same
// campaign.
std::string ToJson(const Campaign& campaign);

// OK for a name that stays below a root: relative, without "..", parts that begin with a dot, empty
// parts, backslashes or control characters. For programs that take names from others, as the server
// does.
absl::Status CheckPlainName(absl::string_view name);

// The schema of the file, for editors (JSON Schema, draft 2020-12) and for people (Markdown).
std::string CampaignJsonSchema();
std::string CampaignReference();

}  // namespace bitquake
