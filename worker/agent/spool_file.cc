#include "worker/agent/spool_file.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr absl::string_view kMagic = "BQSPOOL\n";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderFields = 24;  // before the header's payload

enum class Kind : uint32_t { kReport = 0x50525142, kAcknowledgement = 0x4B415142 };  // as text
constexpr size_t kRecordFields = 32;  // before a record's payload

uint64_t Hash(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

template <typename T>
void Put(std::string& bytes, T number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <typename T>
T Get(absl::string_view bytes, size_t offset) {
  T number;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

std::string Record(Kind kind, int64_t sequence, absl::string_view payload) {
  std::string bytes;
  Put(bytes, static_cast<uint32_t>(kind));
  Put(bytes, static_cast<uint32_t>(payload.size()));
  Put(bytes, sequence);
  Put(bytes, Hash(payload));
  Put(bytes, Hash(bytes));
  absl::StrAppend(&bytes, payload);
  return bytes;
}

// A record whose fields are as they were written.
struct Fields {
  Kind kind;
  size_t length;
  int64_t sequence;
  uint64_t payload_hash;
};

std::optional<Fields> FieldsAt(absl::string_view bytes, size_t offset) {
  if (bytes.size() - offset < kRecordFields) {
    return std::nullopt;
  }
  const absl::string_view fields = bytes.substr(offset, kRecordFields);
  const auto kind = Get<Kind>(fields, 0);
  if ((kind != Kind::kReport && kind != Kind::kAcknowledgement) ||
      Get<uint64_t>(fields, 24) != Hash(fields.substr(0, 24))) {
    return std::nullopt;
  }
  return Fields{kind, Get<uint32_t>(fields, 4), Get<int64_t>(fields, 8), Get<uint64_t>(fields, 16)};
}

// Where the next record begins after `offset`; nothing if there is none.
std::optional<size_t> NextRecord(absl::string_view bytes, size_t offset) {
  for (size_t next = offset + 1; next + kRecordFields <= bytes.size(); ++next) {
    next = bytes.find("BQ", next);
    if (next == absl::string_view::npos) {
      break;
    }
    if (FieldsAt(bytes, next).has_value()) {
      return next;
    }
  }
  return std::nullopt;
}

// What a file system makes of bytes that were never written.
bool OnlyZeros(absl::string_view bytes) {
  return bytes.find_first_not_of('\0') == absl::string_view::npos;
}

absl::StatusOr<std::string> TakeText(absl::string_view& payload) {
  if (payload.size() < sizeof(uint32_t) ||
      payload.size() - sizeof(uint32_t) < Get<uint32_t>(payload, 0)) {
    return absl::DataLossError("its header is incomplete");
  }
  const std::string text(payload.substr(sizeof(uint32_t), Get<uint32_t>(payload, 0)));
  payload.remove_prefix(sizeof(uint32_t) + text.size());
  return text;
}

// Returns where the header ends.
absl::StatusOr<size_t> ParseHeader(absl::string_view bytes, SpoolOwner* owner) {
  if (bytes.size() < kHeaderFields || bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError("it does not begin as a spool does");
  }
  if (const auto version = Get<uint32_t>(bytes, 8); version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("it is of version ", version, ", this program knows ", kVersion,
                     "; deliver it with the bitquake-worker that wrote it"));
  }
  const size_t length = Get<uint32_t>(bytes, 12);
  if (length > bytes.size() - kHeaderFields) {
    return absl::DataLossError("its header is incomplete");
  }
  absl::string_view payload = bytes.substr(kHeaderFields, length);
  if (Get<uint64_t>(bytes, 16) != Hash(absl::StrCat(bytes.substr(8, 8), payload))) {
    return absl::DataLossError("its header's checksum fails");
  }
  for (std::string* text : {&owner->store, &owner->worker, &owner->device_kind}) {
    ASSIGN_OR_RETURN(*text, TakeText(payload));
  }
  return kHeaderFields + length;
}

}  // namespace

std::string SpoolHeader(const SpoolOwner& owner) {
  std::string payload;
  for (const std::string* text : {&owner.store, &owner.worker, &owner.device_kind}) {
    Put(payload, static_cast<uint32_t>(text->size()));
    absl::StrAppend(&payload, *text);
  }
  std::string fields;
  Put(fields, kVersion);
  Put(fields, static_cast<uint32_t>(payload.size()));
  std::string bytes = absl::StrCat(kMagic, fields);
  Put(bytes, Hash(absl::StrCat(fields, payload)));
  return absl::StrCat(bytes, payload);
}

std::string SpoolReport(int64_t sequence, absl::string_view report) {
  return Record(Kind::kReport, sequence, report);
}

std::string SpoolAcknowledgement(int64_t sequence) {
  return Record(Kind::kAcknowledgement, sequence, "");
}

absl::StatusOr<SpoolContents> ParseSpool(absl::string_view bytes) {
  SpoolContents contents;
  ASSIGN_OR_RETURN(size_t at, ParseHeader(bytes, &contents.owner));
  const auto set_aside = [&](size_t end) {
    contents.corrupt.push_back({static_cast<int64_t>(at), static_cast<int64_t>(end)});
  };
  while (bytes.size() - at >= kRecordFields) {
    const std::optional<Fields> fields = FieldsAt(bytes, at);
    if (!fields.has_value()) {
      const std::optional<size_t> next = NextRecord(bytes, at);
      if (!next.has_value() && OnlyZeros(bytes.substr(at))) {
        break;
      }
      set_aside(next.value_or(bytes.size()));
      at = next.value_or(bytes.size());
      continue;
    }
    if (fields->length > bytes.size() - at - kRecordFields) {
      break;
    }
    const absl::string_view payload = bytes.substr(at + kRecordFields, fields->length);
    const size_t end = at + kRecordFields + fields->length;
    contents.last_sequence = std::max(contents.last_sequence, fields->sequence);
    if (Hash(payload) != fields->payload_hash) {
      set_aside(end);
    } else if (fields->kind == Kind::kReport) {
      contents.reports[fields->sequence] = std::string(payload);
    } else {
      contents.reports.erase(fields->sequence);
    }
    at = end;
  }
  contents.end = static_cast<int64_t>(at);
  return contents;
}

}  // namespace bitquake
