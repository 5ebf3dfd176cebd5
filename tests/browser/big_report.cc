// Writes the report of a made-up campaign of many cells: 12 blocks of 12 heads and 16 tensors, two
// formats, as many rates as it takes.
//
//   big_report FILE CELLS
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/report/page/page.h"

namespace bitquake {
namespace {

constexpr int kBlocks = 12;
constexpr int kImages = 50'000;
constexpr int kTrialImages = 1'000;
constexpr int kTrials = 4;

std::vector<std::pair<std::string, std::string>> Targets() {
  std::vector<std::pair<std::string, std::string>> targets = {{"model", "model"}};
  for (int block = 0; block < kBlocks; ++block) {
    const std::string name = absl::StrCat("blocks.", block);
    targets.emplace_back("block", name);
    for (int i = 0; i < 12; ++i) {
      targets.emplace_back("head", absl::StrCat(name, ".attn.h", i));
    }
    for (const char* type : {"q", "k", "v"}) {
      targets.emplace_back("type", absl::StrCat(name, ".", type));
    }
    for (const char* tensor : {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"}) {
      for (const char* kind : {"weight", "bias", "scale", "shift"}) {
        targets.emplace_back("tensor", absl::StrCat(name, ".", tensor, ".", kind));
      }
    }
  }
  return targets;
}

CampaignReport MakeUp(size_t cells) {
  CampaignReport report;
  report.id = "big-1";
  report.name = "big";
  report.resolved_json = R"({"name":"big","seed":7})";
  report.progress.state = "done";
  std::mt19937 random(7);
  for (const std::string format : {"int8", "int4"}) {
    report.goldens.push_back({"vit_base", format, kImages, 42'123, 48'765});
  }
  const auto targets = Targets();
  for (int step = 0; report.cells.size() < cells; ++step) {
    const double ber = std::pow(10.0, -9 + 0.04 * step);
    for (const GoldenResult& golden : report.goldens) {
      for (const auto& [granularity, target] : targets) {
        if (report.cells.size() == cells) {
          break;
        }
        CellResult cell;
        cell.key = {"big", "vit_base", golden.format, "bit_flip", granularity, target, ber};
        cell.bits = 4'718'592;
        cell.golden = golden;
        cell.number = static_cast<int64_t>(report.cells.size());
        for (uint32_t t = 0; t < kTrials; ++t) {
          TrialResult trial;
          trial.trial = t;
          trial.images = kTrialImages;
          trial.golden_top1 = 840 + static_cast<int64_t>(random() % 10);
          trial.golden_top5 = 970;
          trial.top1 = trial.golden_top1 - static_cast<int64_t>(random() % (1 + 3 * step));
          trial.top5 = 900;
          trial.sdc = static_cast<int64_t>(random() % 300);
          trial.due = static_cast<int64_t>(random() % 3);
          trial.flips = static_cast<int64_t>(random() % 5'000);
          trial.faults_digest = absl::StrCat(random());
          cell.trials.push_back(trial);
        }
        report.cells.push_back(std::move(cell));
      }
    }
  }
  return report;
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: big_report FILE CELLS\n";
    return 2;
  }
  const auto page = bitquake::ReportPage(bitquake::MakeUp(std::strtoul(argv[2], nullptr, 10)));
  const absl::Status written =
      page.ok() ? bitquake::WriteFileAtomically(argv[1], *page) : page.status();
  if (!written.ok()) {
    std::cerr << "big_report: " << written.message() << "\n";
    return 1;
  }
  return 0;
}
