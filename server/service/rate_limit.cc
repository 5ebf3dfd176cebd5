#include "server/service/rate_limit.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace bitquake {
namespace {

// Buckets that are empty again are forgotten when there are so many.
constexpr size_t kManyPeers = 10'000;

}  // namespace

double RateLimit::LevelNow(const Bucket& bucket, absl::Duration now) const {
  return std::max(0.0, bucket.level - absl::ToDoubleSeconds(now - bucket.time) * per_second_);
}

absl::Status RateLimit::Admit(const std::string& peer) {
  const absl::Duration now = clock_->Monotonic();
  absl::MutexLock lock(&mutex_);
  if (buckets_.size() >= kManyPeers) {
    absl::erase_if(buckets_, [&](const auto& entry) { return LevelNow(entry.second, now) == 0; });
  }
  Bucket& bucket = buckets_[peer];
  bucket = {LevelNow(bucket, now), now};
  if (bucket.level + 1 > burst_) {
    const double wait = (bucket.level + 1 - burst_) / per_second_;
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", per_second_, " campaign files a second from one host; wait ",
                     std::ceil(wait * 10) / 10, " s and send it again"));
  }
  bucket.level += 1;
  return absl::OkStatus();
}

size_t RateLimit::peers() const {
  absl::MutexLock lock(&mutex_);
  return buckets_.size();
}

std::string HostOfPeer(const std::string& peer) {
  return absl::StartsWith(peer, "ipv") ? peer.substr(0, peer.rfind(':')) : peer;
}

}  // namespace bitquake
