#include "client/cli/interruption.h"

#include <unistd.h>

#include <iostream>
#include <thread>
#include <utility>

#include "client/cli/command.h"
#include "common/base/process.h"

namespace bitquake {

std::shared_ptr<Interruption> Interruption::Await(const std::shared_ptr<Client>& client,
                                                  std::function<void()> first,
                                                  std::string farewell) {
  std::shared_ptr<Interruption> interruption(new Interruption(client));
  std::thread([interruption, first = std::move(first), farewell = std::move(farewell)] {
    WaitForTermination();
    first();
    interruption->Raise(absl::CancelledError("interrupted"));
    WaitForTermination();
    std::cerr << "\nbitquake: " << farewell << std::endl;
    _exit(kFailed);
  }).detach();
  return interruption;
}

void Interruption::Raise(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) {
      status_ = why;
    }
  }
  if (const std::shared_ptr<Client> client = client_.lock()) {
    client->StopWatching();
  }
}

absl::Status Interruption::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

}  // namespace bitquake
