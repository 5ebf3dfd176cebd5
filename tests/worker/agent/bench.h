// A worker's model "vit" and data set "set" in a folder of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bitquake/v1/worker.pb.h"
#include "common/base/file.h"
#include "tests/model/test_snapshot.h"
#include "tests/worker/agent/fake_evaluator.h"
#include "tests/worker/data/oracle.h"
#include "tests/worker/data/scratch.h"
#include "worker/agent/workbench.h"

namespace bitquake {

inline constexpr char kCampaign[] =
    "name: small\nseed: 2418\nmodels: [vit]\ndataset: set\nformats: [int8]\n"
    "granularities: [model, tensor]\nber: [1e-3, 1e-2]\ntrials: 3\nfolds: 2\n";
inline constexpr int kImages = 9;

class BenchTest : public ::testing::Test {
 protected:
  BenchTest() {
    WriteModel(/*seed=*/1);
    WriteData("set/a.tar", kImages);
  }

  // Files are replaced, not written over, so that their stamps differ however fast the test is.
  void WriteModel(uint32_t seed, const std::string& name = "vit") {
    const TestVit vit;
    const std::string folder = folder_.Path("models/" + name);
    std::filesystem::create_directories(folder);
    EXPECT_TRUE(WriteFileAtomically(folder + "/config.json", ConfigJson(vit)).ok());
    EXPECT_TRUE(WriteFileAtomically(folder + "/model.safetensors",
                                    SafetensorsBytes(RandomTensors(vit, seed)))
                    .ok());
  }

  static int Label(int image) { return image * 5 % 7; }

  // The image that `broken` numbers has bytes that are no image.
  void WriteData(const std::string& shard, int images, int broken = -1) {
    Members members;
    for (int i = 0; i < images; ++i) {
      members.push_back({absl::StrCat(i, ".png"), i == broken ? "?" : OracleFile("good/1x1.png")});
      members.push_back({absl::StrCat(i, ".cls"), absl::StrCat(Label(i))});
    }
    const std::string path = folder_.Path("data/" + shard);
    WriteTar(path + ".new", members);
    std::filesystem::rename(path + ".new", path);
  }

  WorkbenchOptions Options() {
    WorkbenchOptions options;
    options.models.folders = {folder_.Path("models")};
    options.data.folders = {folder_.Path("data")};
    options.cache_folder = folder_.Path("cache");
    options.threads = 3;
    options.create_evaluator = FakeEvaluators(&script_);
    options.choose_chunk = FakeChunk;
    return options;
  }

  static v1::Lease MakeLease() {
    v1::Lease lease;
    lease.set_lease_id(77);
    lease.mutable_campaign()->set_campaign_id("c1");
    lease.mutable_campaign()->set_resolved_json(kCampaign);
    lease.mutable_campaign()->set_chunk(16);
    lease.set_model("vit");
    lease.set_format("int8");
    return lease;
  }

  static v1::Lease ProbeLease() {
    v1::Lease lease = MakeLease();
    lease.mutable_probe()->set_job_id(5);
    return lease;
  }

  static v1::CellSpec* AddCell(v1::Lease& lease, int64_t id, int granularity,
                               const std::string& target, double ber) {
    v1::CellSpec* cell = lease.mutable_trials()->add_cells();
    cell->set_cell_id(id);
    cell->set_granularity_index(granularity);
    cell->set_target(target);
    cell->set_ber(ber);
    return cell;
  }

  static void AddTrial(v1::Lease& lease, int64_t job, int64_t cell, uint32_t trial, int fold) {
    v1::TrialJob* added = lease.mutable_trials()->add_jobs();
    added->set_job_id(job);
    added->set_cell_id(cell);
    added->set_trial(trial);
    added->set_fold(fold);
  }

  ScratchFolder folder_;
  EvaluatorScript script_;
  Workbench workbench_{Options()};
};

}  // namespace bitquake
