#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "common/base/status_macros.h"
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
  std::vector<std::string> model_roots;
};

absl::StatusOr<Granularity> FromName(const std::string& name) {
  for (const Granularity::Kind kind :
       {Granularity::Kind::kModel, Granularity::Kind::kBlock, Granularity::Kind::kTensor,
        Granularity::Kind::kType, Granularity::Kind::kHead}) {
    Granularity granularity;
    granularity.kind = kind;
    if (granularity.Name() == name) {
      return granularity;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no granularity '", name, "'; there are model, block, tensor, type, head"));
}

std::string FindModel(const Flags& flags) {
  for (const std::string& root : flags.model_roots) {
    const std::filesystem::path place = std::filesystem::path(root) / flags.model;
    if (std::error_code error; std::filesystem::is_directory(place, error)) {
      return place.string();
    }
  }
  return flags.model;
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

absl::Status Inspect(const Flags& flags, bool json) {
  ASSIGN_OR_RETURN(const ModelSnapshot snapshot, OpenSnapshot(FindModel(flags)));
  ASSIGN_OR_RETURN(const Granularity granularity, FromName(flags.granularity));
  ASSIGN_OR_RETURN(const NumberFormat format, NumberFormat::FromName(flags.format));
  ASSIGN_OR_RETURN(const std::vector<Target> targets, ExpandTargets(snapshot.surface, granularity, format));
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Target& target : targets) {
      nlohmann::ordered_json ranges = nlohmann::ordered_json::array();
      for (const WordRange& range : target.ranges) {
        ranges.push_back({{"tensor", snapshot.surface[range.tensor].name},
                          {"first_word", range.first},
                          {"words", range.count}});
      }
      list.push_back({{"granularity", target.granularity},
                      {"target", target.name},
                      {"words", target.words()},
                      {"bits", target.words() * format.bits},
                      {"ranges", ranges}});
    }
    std::cout << list.dump(1) << "\n";
    return absl::OkStatus();
  }
  std::cout << snapshot.architecture.name << ": " << targets.size() << " targets of granularity "
            << flags.granularity << " in " << flags.format << "\n";
  for (const Target& target : targets) {
    std::cout << absl::StrFormat("%-32s %14d bits\n", target.name, target.words() * format.bits);
    for (const WordRange& range : target.ranges) {
      const SurfaceTensor& tensor = snapshot.surface[range.tensor];
      std::cout << absl::StrFormat("    %-34s %-16s %s\n", tensor.name,
                                   absl::StrCat("[", absl::StrJoin(tensor.shape, ", "), "]"),
                                   RowsText(tensor, range));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddInspect(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("inspect", "Print a model's targets with their tensors, rows and bits");
  auto flags = std::make_shared<Flags>();
  command->add_option("MODEL", flags->model, "model folder, or its name below a model root")
      ->required();
  command->add_option("--granularity", flags->granularity, "model, block, tensor, type or head")
      ->capture_default_str();
  command->add_option("--format", flags->format, "number format that bits are counted in")
      ->capture_default_str();
  command->add_option("--model-root", flags->model_roots, "folder that holds model folders")
      ->envname("BITQUAKE_MODEL_ROOT");
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake inspect models/vit_base_patch16_224 --granularity head");
  command->callback([flags, &session] { session.Finish(Inspect(*flags, session.flags.json)); });
}

}  // namespace bitquake
