// A worker's spool, as a process that was killed, a disk or anyone else left it.
#include <xxhash.h>

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/mutate.h"
#include "worker/agent/spool_file.h"

namespace bitquake {
namespace {

uint32_t Length(const uint8_t* at) {
  uint32_t length;
  std::memcpy(&length, at, sizeof(length));
  return length;
}

void PutHash(absl::string_view of, uint8_t* at) {
  const uint64_t hash = XXH3_64bits(of.data(), of.size());
  std::memcpy(at, &hash, sizeof(hash));
}

}  // namespace
}  // namespace bitquake

// As spool_file.h says.
void MendChecksums(uint8_t* data, size_t size) {
  using namespace bitquake;
  constexpr size_t kHeaderFields = 24, kRecordFields = 32;
  if (size < kHeaderFields || Length(data + 12) > size - kHeaderFields) {
    return;
  }
  const size_t length = Length(data + 12);
  PutHash(absl::StrCat(Text(data + 8, 8), Text(data + kHeaderFields, length)), data + 16);
  data += kHeaderFields + length;
  size -= kHeaderFields + length;
  while (size >= kRecordFields && Length(data + 4) <= size - kRecordFields) {
    const size_t payload = Length(data + 4);
    PutHash(Text(data + kRecordFields, payload), data + 16);
    PutHash(Text(data, 24), data + 24);
    data += kRecordFields + payload;
    size -= kRecordFields + payload;
  }
}

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const absl::StatusOr<SpoolContents> contents = ParseSpool(Text(data, size));
  if (!contents.ok()) {
    Must(absl::IsDataLoss(contents.status()) || absl::IsFailedPrecondition(contents.status()),
         "a refusal is the file's fault");
    return 0;
  }
  int64_t end = 0;  // of the span before
  for (const SpoolSpan& span : contents->corrupt) {
    Must(span.begin >= end && span.end > span.begin, "corrupt bytes come in order");
    end = span.end;
  }
  Must(end <= contents->end && contents->end <= static_cast<int64_t>(size),
       "corrupt bytes and records lie in the file");
  std::string again = SpoolHeader(contents->owner);
  for (const auto& [sequence, report] : contents->reports) {
    Must(sequence <= contents->last_sequence, "the last sequence is the highest");
    absl::StrAppend(&again, SpoolReport(sequence, report));
  }
  const absl::StatusOr<SpoolContents> rewritten = ParseSpool(again);
  Must(rewritten.ok() && rewritten->owner == contents->owner, "a spool has the same owner anew");
  Must(rewritten->reports == contents->reports && rewritten->corrupt.empty(),
       "a spool has the same reports anew");
  return 0;
}
