// What may end a watch early: Ctrl-C, SIGTERM, or another thread that found the watch pointless.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/api/client.h"

namespace bitquake {

// Thread-safe. Signals must be blocked (BlockTerminationSignals) before the first thread starts.
class Interruption {
 public:
  // Waits for signals as long as the process lives. The first calls `first` and ends the watching
  // of `client`, if it is still there, as interrupted; the second prints `farewell` and ends the
  // process at once.
  static std::shared_ptr<Interruption> Await(const std::shared_ptr<Client>& client,
                                             std::function<void()> first, std::string farewell);

  // Ends the watching for this reason, unless it was ended for another one before.
  void Raise(const absl::Status& why);
  // Why it was ended; OK if it was not.
  absl::Status status() const;

 private:
  explicit Interruption(const std::shared_ptr<Client>& client) : client_(client) {}

  const std::weak_ptr<Client> client_;
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bitquake
