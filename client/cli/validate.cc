#include <iostream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/campaign_file.h"
#include "client/cli/command.h"
#include "client/cli/earlier_run.h"
#include "client/cli/forecast.h"
#include "client/cli/image_count.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

struct Flags {
  std::string file;
  std::string like;
  std::vector<std::string> model_roots;
  std::vector<std::string> data_roots;
};

std::string ModelText(const Campaign& campaign, const ModelCells& model) {
  if (!model.cells.has_value()) {
    return absl::StrCat("  ", model.model,
                        ": not on this machine; its targets are checked when a worker opens it\n");
  }
  std::string text = absl::StrCat("  ", model.model, ": ");
  if (model.cells->stated > 0 || !campaign.search) {
    const int64_t cells = model.cells->stated;
    absl::StrAppend(
        &text, cells, " cells, ", cells * campaign.trials.min,
        campaign.trials.adaptive() ? absl::StrCat(" to ", cells * campaign.trials.max) : "",
        " trials", model.cells->searched > 0 ? "; " : "");
  }
  if (model.cells->searched > 0) {
    const int64_t targets = model.cells->searched;
    absl::StrAppend(&text, targets, targets == 1 ? " target, whose" : " targets, whose",
                    " rates are searched among ", campaign.ber.size());
  }
  return text + "\n";
}

nlohmann::json RangeJson(const CountRange& range) {
  return {{"least", range.least}, {"most", range.most}};
}

nlohmann::json ForecastJson(const Forecast& forecast) {
  nlohmann::json json = {{"cells", RangeJson(forecast.cells)},
                         {"typical_cells", forecast.typical_cells},
                         {"trials", RangeJson(forecast.trials)}};
  if (forecast.images > 0) {
    json["images"] = forecast.images;
    json["images_per_trial"] = forecast.images_per_trial;
    json["inferences"] = RangeJson(forecast.inferences);
    json["full_repeats"] = forecast.full_repeats;
  }
  return json;
}

nlohmann::json ModelJson(const ModelCells& model) {
  nlohmann::json json = {{"model", model.model}, {"cells", nullptr}, {"searched_targets", nullptr}};
  if (model.cells.has_value()) {
    json["cells"] = model.cells->stated;
    json["searched_targets"] = model.cells->searched;
  }
  return json;
}

// As a script reads it. `forecast` is null if no model is on this machine.
nlohmann::json ValidJson(const Campaign& campaign, const std::vector<ModelCells>& models,
                         const std::optional<Forecast>& forecast) {
  nlohmann::json json = {{"campaign", nlohmann::json::parse(ToJson(campaign))},
                         {"models", nlohmann::json::array()},
                         {"forecast", nullptr}};
  for (const ModelCells& model : models) {
    json["models"].push_back(ModelJson(model));
  }
  if (forecast.has_value()) {
    json["forecast"] = ForecastJson(*forecast);
  }
  return json;
}

absl::Status Validate(const Flags& flags, bool json) {
  ASSIGN_OR_RETURN(const CampaignFile file, ReadCampaignFile(flags.file));
  ASSIGN_OR_RETURN(const std::vector<ModelCells> models, CountCells(file, flags.model_roots));
  std::optional<EarlierRun> earlier;
  if (!flags.like.empty()) {
    ASSIGN_OR_RETURN(earlier, ReadEarlierRun(flags.like));
  }
  CellCount cells;
  int here = 0;
  for (const ModelCells& model : models) {
    if (model.cells.has_value()) {
      cells.Add(*model.cells);
      ++here;
    }
  }
  std::optional<Forecast> forecast;
  if (here > 0) {
    const std::string dataset = FindDataset(file, flags.data_roots);
    forecast = MakeForecast(file.campaign, cells, here,
                            dataset.empty() ? std::nullopt : CountImages(dataset));
  }
  if (json) {
    std::cout << ValidJson(file.campaign, models, forecast).dump() << "\n";
    return absl::OkStatus();
  }
  std::cout << flags.file << ": valid\n";
  for (const ModelCells& model : models) {
    std::cout << ModelText(file.campaign, model);
  }
  if (forecast.has_value()) {
    std::cout << ForecastText(file.campaign, *forecast, earlier ? &*earlier : nullptr);
  }
  return absl::OkStatus();
}

}  // namespace

void AddValidate(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("validate", "Check a campaign file, and say what it will take");
  auto flags = std::make_shared<Flags>();
  command->add_option("FILE", flags->file, "campaign file")->required();
  AddModelRootFlag(*command, &flags->model_roots);
  AddDataRootFlag(*command, &flags->data_roots);
  command->add_option("--like", flags->like, "earlier run, to take speed and deviations from")
      ->type_name("DIR");
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake validate campaign.yaml");
  command->callback([flags, &session] { session.Finish(Validate(*flags, session.flags.json)); });
}

}  // namespace bitquake
