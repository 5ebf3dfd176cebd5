// What one caller may ask of the coordinator. What campaign files may hold is limited where they
// are parsed (common/campaign/document.h: bytes, nesting, values).
#pragma once

#include "absl/time/time.h"

namespace bitquake {

// A golden report carries a 32-bit class for each image of a fold, which may be a whole data set.
inline constexpr int kLargestRequest = 64 << 20;
// Results carry the trials of a cell.
inline constexpr int kLargestResponse = 256 << 20;

// Calls under way on one connection. A worker has three, a client two.
inline constexpr int kMostStreams = 1024;

// Calls that read results at a time: each has a thread and a view of the store.
inline constexpr int kMostReaders = 64;

// Campaign files that one host may have parsed: so many at once, and then so many a second.
inline constexpr double kSubmitBurst = 100;
inline constexpr double kSubmitsPerSecond = 10;

// A peer that does not finish the TLS handshake in this time is sent away.
inline constexpr absl::Duration kHandshakeTime = absl::Seconds(20);

// A credential that is revoked or expires ends the streams that it opened within this time after
// their next message.
inline constexpr absl::Duration kRecheckInterval = absl::Seconds(1);

}  // namespace bitquake
