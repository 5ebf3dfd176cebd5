#include <algorithm>
#include <filesystem>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/find_folder.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/fault/number_format.h"
#include "common/fault/target.h"
#include "common/model/snapshot.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

struct Flags {
  std::string model;
  std::string granularity = "tensor";
  std::string format = "int8";
  SurfaceSelection surface;
  std::string bits;
  bool per_block = false;
  std::string match;
  std::vector<std::string> model_roots;
};

absl::StatusOr<Granularity::Kind> KindFromName(const std::string& name) {
  std::vector<std::string> known;
  for (const Granularity::Kind kind : AllGranularityKinds()) {
    Granularity granularity;
    granularity.kind = kind;
    known.emplace_back(granularity.Name());
    if (known.back() == name) {
      return kind;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("--granularity: there is no '", name, "', only ",
                                                 absl::StrJoin(known, ", "),
                                                 DidYouMean(name, known)));
}

absl::Status ReadBits(const std::string& bits, Granularity* granularity) {
  granularity->each_position = bits == "each";
  if (granularity->each_position || bits.empty()) {
    return absl::OkStatus();
  }
  for (const absl::string_view text : absl::StrSplit(bits, ',')) {
    if (!absl::SimpleAtoi(text, &granularity->positions.emplace_back())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--bits: '", text, "' is not a bit position; give each, or numbers from 0, as 7,6"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Granularity> GranularityOf(const Flags& flags) {
  Granularity granularity;
  ASSIGN_OR_RETURN(granularity.kind, KindFromName(flags.granularity));
  granularity.per_block = flags.per_block;
  granularity.pattern = flags.match;
  RETURN_IF_ERROR(ReadBits(flags.bits, &granularity));
  return granularity;
}

// "rows 0..31 of 384" or "all"
std::string RowsText(const SurfaceTensor& tensor, const WordRange& range) {
  if (range.count == tensor.words()) {
    return "all";
  }
  const int64_t row = tensor.words_per_row();
  return absl::StrCat("rows ", range.first / row, "..", (range.first + range.count) / row - 1,
                      " of ", tensor.shape[0]);
}

// Of the format's words, ascending.
std::vector<int> PositionsOf(const Target& target, const NumberFormat& format) {
  std::vector<int> positions;
  for (int position = 0; position < format.bits; ++position) {
    if ((target.positions >> position & 1) != 0) {
      positions.push_back(position);
    }
  }
  return positions;
}

void PrintJson(const std::vector<Target>& targets, const Surface& surface,
               const NumberFormat& format) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Target& target : targets) {
    nlohmann::ordered_json ranges = nlohmann::ordered_json::array();
    for (const WordRange& range : target.ranges) {
      const SurfaceTensor& tensor = surface[range.tensor];
      const int64_t row = tensor.words_per_row();
      ranges.push_back({{"tensor", tensor.name},
                        {"first_word", range.first},
                        {"words", range.count},
                        {"first_row", range.first / row},
                        {"rows", range.count / row}});
    }
    list.push_back({{"granularity", target.granularity},
                    {"target", target.name},
                    {"words", target.words()},
                    {"bits", ExposedBits(target, format, FaultModel())},
                    {"ranges", ranges},
                    {"positions", PositionsOf(target, format)}});
  }
  std::cout << list.dump(1) << "\n";
}

void PrintText(const std::vector<Target>& targets, const Surface& surface,
               const NumberFormat& format) {
  int width = 0;
  for (const SurfaceTensor& tensor : surface) {
    width = std::max(width, static_cast<int>(tensor.name.size()));
  }
  for (const Target& target : targets) {
    const std::vector<int> positions = PositionsOf(target, format);
    const bool whole_words = static_cast<int>(positions.size()) == format.bits;
    std::cout << absl::StrFormat(
        "%-*s %14d bits%s\n", width + 4, target.name, ExposedBits(target, format, FaultModel()),
        whole_words ? "" : absl::StrCat(", bit ", absl::StrJoin(positions, ", "), " of each word"));
    for (const WordRange& range : target.ranges) {
      const SurfaceTensor& tensor = surface[range.tensor];
      std::cout << absl::StrFormat("    %-*s  %-16s %s\n", width, tensor.name,
                                   absl::StrCat("[", absl::StrJoin(tensor.shape, ", "), "]"),
                                   RowsText(tensor, range));
    }
  }
}

absl::Status Inspect(const Flags& flags, bool json) {
  ASSIGN_OR_RETURN(const Granularity granularity, GranularityOf(flags));
  const absl::StatusOr<NumberFormat> named = NumberFormat::FromName(flags.format);
  if (!named.ok()) {
    return Annotate(named.status(), "--format");
  }
  const NumberFormat& format = *named;
  ASSIGN_OR_RETURN(const std::string folder,
                   FindFolder(flags.model, std::filesystem::current_path().string(),
                              flags.model_roots, "model", "--model-root"));
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(folder));
  const absl::StatusOr<Surface> surface =
      MakeSurface(snapshot.architecture, snapshot.Tensors(), flags.surface);
  if (!surface.ok()) {
    return Annotate(surface.status(), "surface");
  }
  ASSIGN_OR_RETURN(const std::vector<Target> targets, ExpandTargets(*surface, granularity, format));
  if (json) {
    PrintJson(targets, *surface, format);
    return absl::OkStatus();
  }
  std::cout << snapshot.architecture.name << ": " << targets.size() << " targets of granularity "
            << flags.granularity << " in " << flags.format << "\n";
  PrintText(targets, *surface, format);
  return absl::OkStatus();
}

}  // namespace

void AddInspect(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("inspect", "Print a model's targets with their tensors, rows and bits");
  auto flags = std::make_shared<Flags>();
  command->add_option("MODEL", flags->model, "model folder, or its name below a model root")
      ->required();
  command->add_option("--granularity", flags->granularity, "which bits are hit together")
      ->type_name("KIND")
      ->check(CLI::Validator([](const std::string&) { return std::string(); },
                             "{model,block,tensor,part,type,head,bit,regex}"))
      ->capture_default_str();
  command->add_option("--format", flags->format, "number format that bits are counted in")
      ->capture_default_str();
  command->add_option("--surface-include", flags->surface.include,
                      "regular expression of parameters to add to the surface; repeatable");
  command->add_option("--surface-exclude", flags->surface.exclude,
                      "regular expression of parameters to leave out; repeatable");
  command->add_option("--bits", flags->bits,
                      "a target for each of these bit positions: each, or as 7,6");
  command->add_flag("--per-block", flags->per_block, "part, type: a target for each block");
  command->add_option("--match", flags->match, "regex: pattern of tensors' names");
  AddModelRootFlag(*command, &flags->model_roots);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake inspect models/vit_base_patch16_224 --granularity head");
  command->callback([flags, &session] { session.Finish(Inspect(*flags, session.flags.json)); });
}

}  // namespace bitquake
