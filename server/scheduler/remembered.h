// What the coordinator remembers of the store, so that leases and reports look nothing up twice;
// and counts that the reports of a transaction add up before they are written once.
//
// All of it follows from the store. It is forgotten whenever a step that may have changed it is
// undone, and by every step that changes the store behind its back: Coordinator::Forget.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/scheduler/ready_batches.h"

namespace bitquake {

// Of a campaign that has been probed, and so never changes.
struct CampaignFacts {
  int64_t images = 0;
  std::vector<int64_t> fold_sizes;

  // 0 of a fold that there is not.
  int64_t ImagesOf(int fold) const {
    return fold >= 0 && static_cast<size_t>(fold) < fold_sizes.size()
               ? fold_sizes[static_cast<size_t>(fold)]
               : 0;
  }
};

struct PinnedGolden {
  std::string digest;
  std::string worker;
  std::string device_kind;
  bool confirmed = false;
  int64_t top1 = 0;
  int64_t top5 = 0;
};

// What reports add to a campaign's row.
struct CampaignCounts {
  int64_t jobs_done = 0;
  int64_t jobs_poisoned = 0;
  int64_t images = 0;
  int64_t images_without_flips = 0;
  int64_t images_copied = 0;
};

struct Remembered {
  // Probing or running, in the order of submission, and whether running.
  std::optional<std::vector<std::pair<std::string, bool>>> open;
  std::map<std::string, CampaignFacts> facts;               // by campaign
  std::map<std::pair<int64_t, int>, PinnedGolden> goldens;  // by variant and fold
  std::map<std::string, ReadyBatches> ready;                // by campaign
  std::optional<int> live_workers;                          // in the transaction under way
};

// Of the transaction under way.
struct Unwritten {
  std::map<std::string, CampaignCounts> counts;  // by campaign
  std::set<std::string> perhaps_complete;        // campaigns
};

}  // namespace bitquake
