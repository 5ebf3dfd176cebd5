// How far a campaign is: what the coordinator counts, and clients and pages show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitquake {

struct CampaignProgress {
  std::string state;          // probing | running | paused | done | cancelled | failed
  std::string error;          // why it failed, or was paused
  int64_t jobs_total = 0;     // known to be needed: of an adaptive campaign, or a search, it grows
  int64_t jobs_expected = 0;  // in the end: jobs_total, or an estimate while that grows
  int64_t jobs_done = 0;
  int64_t jobs_poisoned = 0;
  int64_t jobs_leased = 0;
  std::vector<std::string> poison_errors;
  int64_t images_done = 0;
  int64_t images_without_flips = 0;  // of them: known without inference, for nothing was flipped
  int64_t images_copied = 0;         // of them: of trials with the same faults as another
  double images_per_second = 0;      // 0: unknown
  double eta_seconds = 0;            // 0: unknown
  int workers = 0;
  int64_t cells = 0;
  int64_t submitted_unix_ms = 0;
  int64_t finished_unix_ms = 0;  // 0: not yet

  bool ended() const { return state == "done" || state == "cancelled" || state == "failed"; }
};

}  // namespace bitquake
