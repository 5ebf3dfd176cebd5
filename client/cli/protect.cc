// `protect`: the smallest set of bits to protect so that a model keeps its accuracy at a bit-error
// rate.
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/campaign_store.h"
#include "client/cli/command.h"
#include "client/cli/find_campaign.h"
#include "client/cli/protect_confirm.h"
#include "client/cli/run_directory.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/campaign/campaign.h"
#include "common/report/protection_plan.h"
#include "common/report/protection_search.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string campaign;
  ProtectionQuestion question;
  LossLimit limit;
  bool confirm = false;
  std::optional<uint64_t> seed;
  int64_t max_campaigns = 20;
  std::string file;
  std::string out;
};

absl::StatusOr<CampaignResults> ResultsOf(const Flags& flags, std::optional<RunDirectory>* run,
                                          const Session& session) {
  CampaignResults results;
  if (IsRunDirectory(flags.campaign)) {
    ASSIGN_OR_RETURN(RunDirectory opened, RunDirectory::Open(flags.campaign));
    run->emplace(std::move(opened));
    RETURN_IF_ERROR(AskRun(**run, [&](Client& client, const std::string& id) -> absl::Status {
      ASSIGN_OR_RETURN(results, client.Results(id));
      return absl::OkStatus();
    }));
  } else {
    const std::unique_ptr<Client> client = session.Connect();
    ASSIGN_OR_RETURN(const std::string id, FindCampaignOrRun(*client, flags.campaign));
    ASSIGN_OR_RETURN(results, client->Results(id));
  }
  if (results.status.state != "done") {
    return absl::FailedPreconditionError(absl::StrCat("campaign ", results.status.id, " is ",
                                                      results.status.state, "; it must be done"));
  }
  return results;
}

std::string Text(const Loss& loss) {
  return absl::StrFormat("%.2f pp [%.2f, %.2f]", loss.mean, loss.interval.low, loss.interval.high);
}

std::string Share(int64_t bits, int64_t all) {
  return absl::StrFormat("%d of %d bits (%.2f%%)", bits, all,
                         100.0 * static_cast<double>(bits) / static_cast<double>(all));
}

std::string Bits(const ProtectedPart& part) {
  return part.positions.empty() ? "all bits"
                                : absl::StrCat("bits ", absl::StrJoin(part.positions, " "));
}

Json ToJson(const Loss& loss) {
  return {{"mean", loss.mean}, {"ci_low", loss.interval.low}, {"ci_high", loss.interval.high}};
}

// What was found: without protection if that holds, else predicted, and measured where asked for.
struct Answer {
  size_t set = 0;
  std::optional<Loss> predicted;  // none where nothing needs protection
  std::optional<Confirmation> confirmed;
};

void PrintJson(const Flags& flags, const ProtectionPlan& plan, const Answer& answer) {
  Json protect = Json::array();
  for (const ProtectedPart& part : plan.parts(answer.set)) {
    protect.push_back({{"granularity", part.granularity},
                       {"target", part.target},
                       {"positions", part.positions},
                       {"bits", part.bits},
                       {"loss_alone", part.loss}});
  }
  const ProtectionQuestion& question = plan.question();
  Json json = {{"model", question.model},
               {"format", question.format},
               {"fault", question.fault},
               {"ber", question.ber},
               {"limit_pp", flags.limit.pp},
               {"criterion", flags.limit.surely ? "interval" : "mean"},
               {"trials", plan.trials()},
               {"unprotected", ToJson(plan.unprotected())},
               {"sum_of_targets", plan.predicted(0).mean},
               {"protect", std::move(protect)},
               {"bits", plan.bits(answer.set)},
               {"model_bits", plan.model_bits()},
               {"predicted", answer.predicted ? ToJson(*answer.predicted) : Json()},
               {"confirmed", Json()}};
  if (answer.confirmed) {
    json["confirmed"] = ToJson(answer.confirmed->loss);
    json["confirmed"]["trials"] = answer.confirmed->trials;
    json["confirmed"]["campaigns"] = answer.confirmed->campaigns;
    json["confirmed"]["next_smaller_fails"] = answer.confirmed->smallest;
  }
  std::cout << json.dump(1) << "\n";
}

void PrintText(const Flags& flags, const ProtectionPlan& plan, const Answer& answer) {
  const ProtectionQuestion& question = plan.question();
  std::cout << question.model << "  " << question.format << "  " << question.fault << "  BER "
            << FormatNumber(question.ber) << ": "
            << (flags.limit.surely ? "95% interval of the loss" : "mean loss") << " at most "
            << FormatNumber(flags.limit.pp) << " pp\n"
            << "unprotected  loses " << Text(plan.unprotected()) << "; its targets alone add up to "
            << absl::StrFormat("%.2f pp\n", plan.predicted(0).mean);
  for (const ProtectedPart& part : plan.parts(answer.set)) {
    std::cout << "protect      " << part.target << ", " << Bits(part) << ": " << part.bits
              << " bits, alone they lose " << absl::StrFormat("%.2f pp\n", part.loss);
  }
  std::cout << "cost         " << Share(plan.bits(answer.set), plan.model_bits()) << "\n";
  if (answer.predicted) {
    std::cout << "predicted    loses " << Text(*answer.predicted) << ", from " << plan.trials()
              << " trials of each target alone\n";
  } else {
    std::cout << "nothing needs protection\n";
  }
  if (answer.confirmed) {
    std::cout << "confirmed    loses " << Text(answer.confirmed->loss) << ", by "
              << answer.confirmed->trials << " trials with faults of their own; "
              << (answer.confirmed->smallest ? "the next smaller set does not hold"
                                             : "smaller sets were not all tried")
              << "\n";
  } else if (answer.predicted) {
    std::cout << "not confirmed: --confirm measures it, and grows it where it does not hold\n";
  }
}

absl::StatusOr<Answer> Find(const Flags& flags, const ProtectionPlan& plan,
                            const Campaign& campaign, uint64_t seed, const CampaignRunner& run) {
  Answer answer;
  if (!std::isfinite(flags.limit.pp)) {
    return absl::InvalidArgumentError("--loss is not a number");
  }
  if (Holds(plan.unprotected(), flags.limit)) {
    return answer;
  }
  answer.set = SmallestPredicted(plan, flags.limit);
  if (flags.confirm) {
    const auto measure = [&](size_t set) -> absl::StatusOr<CellResult> {
      std::cerr << "confirming " << Share(plan.bits(set), plan.model_bits()) << "\n";
      ASSIGN_OR_RETURN(const Campaign confirming, ConfirmingCampaign(campaign, plan, set, seed));
      ASSIGN_OR_RETURN(const std::vector<CellResult> cells, run(confirming));
      if (cells.size() != 1) {
        return absl::InternalError(
            absl::StrCat("a confirming campaign has ", cells.size(), " cells, not one"));
      }
      ASSIGN_OR_RETURN(const Loss loss, LossOf(cells[0]));
      std::cerr << "  loses " << Text(loss) << "\n";
      return cells[0];
    };
    ASSIGN_OR_RETURN(answer.confirmed, Confirm(plan, flags.limit, flags.max_campaigns, measure));
    answer.set = answer.confirmed->set;
  }
  answer.predicted = plan.predicted(answer.set);
  return answer;
}

absl::Status Protect(const Flags& flags, const Session& session) {
  std::optional<RunDirectory> run;
  ASSIGN_OR_RETURN(const CampaignResults results, ResultsOf(flags, &run, session));
  ASSIGN_OR_RETURN(const Campaign campaign,
                   ParseCampaign(results.resolved_json, results.status.id));
  ASSIGN_OR_RETURN(const ProtectionPlan plan, ProtectionPlan::Make(results.cells, flags.question));
  const uint64_t seed = flags.seed.value_or(campaign.seed + 1);
  const std::string folder = flags.out.empty() && run ? run->folder() + "/protect" : flags.out;
  const CampaignRunner runner = run ? LocalRunner(*run, folder) : RemoteRunner(session);
  ASSIGN_OR_RETURN(const Answer answer, Find(flags, plan, campaign, seed, runner));
  if (!flags.file.empty()) {
    ASSIGN_OR_RETURN(Campaign confirming, ConfirmingCampaign(campaign, plan, answer.set, seed));
    if (run) {
      confirming = WithPaths(confirming, run->state());
    }
    RETURN_IF_ERROR(WriteFileAtomically(flags.file, ToJson(confirming)));
  }
  session.flags.json ? PrintJson(flags, plan, answer) : PrintText(flags, plan, answer);
  return absl::OkStatus();
}

}  // namespace

void AddProtect(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "protect", "Find the fewest bits to protect that keep a loss under a limit");
  auto flags = std::make_shared<Flags>();
  ProtectionQuestion& question = flags->question;
  command
      ->add_option("CAMPAIGN", flags->campaign,
                   "run directory, or a campaign's ID or name; it is done and has granularity "
                   "model, and targets that make up the model")
      ->required();
  command->add_option("--ber", question.ber, "bit-error rate, one of the campaign's")
      ->type_name("B")
      ->required();
  command->add_option("--loss", flags->limit.pp, "most top-1 accuracy to lose, percentage points")
      ->type_name("PP")
      ->required()
      ->check(CLI::Range(0.0, 100.0));
  command->add_flag("--surely", flags->limit.surely,
                    "hold the 95% interval's upper end to it, not the mean");
  command
      ->add_option("--granularity", question.granularities,
                   "whose targets may be protected; repeatable")
      ->type_name("KIND");
  command->add_flag("--bits", question.by_bits, "protect top bits, of a campaign with bits: each");
  command->add_option("--model", question.model, "which model, if the campaign has several")
      ->type_name("NAME");
  command->add_option("--format", question.format, "which number format, likewise")
      ->type_name("NAME");
  command->add_option("--fault", question.fault, "which fault model, as cells.csv names it")
      ->type_name("NAME");
  command->add_flag("--confirm", flags->confirm,
                    "measure the set; grow it until it holds");
  command->add_option("--seed", flags->seed, "their seed; by default the campaign's + 1")
      ->type_name("N");
  command->add_option("--max-campaigns", flags->max_campaigns, "most campaigns to confirm with")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--out", flags->out, "where a run directory's go; by default `protect` in it")
      ->type_name("DIR");
  command->add_option("-o", flags->file, "write the confirming campaign of the set into it")
      ->type_name("FILE");
  AddServerFlag(*command, session);
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake protect runs/demo --ber 1e-2 --loss 1 --confirm");
  command->callback([flags, &session] { session.Finish(Protect(*flags, session)); });
}

}  // namespace bitquake
