// What the programs share about being processes: termination, readiness, random names.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bitquake {

// Blocks SIGTERM and SIGINT in this and all later threads, and ignores SIGPIPE. Call first in main.
void BlockTerminationSignals();

// OpenSSL stays whole until the process is gone: gRPC's threads may still use it while others leave
// main. Call before anything uses it, in each program that speaks TLS.
void KeepOpenSsl();

// As many open files as the system lets this process have.
void RaiseFileLimit();

// Waits for SIGTERM or SIGINT; returns which, or 0 when `patience` is over before.
int WaitForTermination(absl::Duration patience = absl::InfiniteDuration());

// Writes `line` and a newline to `fd` and closes it: "I serve now".
absl::Status NotifyReady(int fd, absl::string_view line);

// The name of this host, or "localhost".
std::string HostName();

// From the system's source of randomness.
uint64_t RandomNumber();
std::string RandomHex();  // 16 digits

}  // namespace bitquake
