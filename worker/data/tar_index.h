// Where the files of a tar lie, so that one can be read without the others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

struct TarMember {
  std::string name;  // as stored: "val/val_8709.jpg"
  int64_t offset;    // of its bytes in the tar
  int64_t size;      // bytes
};

// The regular files of an uncompressed tar (ustar, pax, GNU), in order. `bytes` are the tar's,
// `path` names it in errors. InvalidArgument, with the member where reading stopped: a damaged
// header, a truncated member, a missing end-of-archive marker (the only trace of a cut between two
// members), a sparse file.
absl::StatusOr<std::vector<TarMember>> IndexTar(absl::string_view bytes, const std::string& path);

// A member's name by WebDataset's rule: members with the same key are parts of one sample. The key
// is the name up to the first dot of its last path component, the extension what follows that dot,
// lower-cased.
//   "val/n01.a.JPG" -> {"val/n01", "a.jpg"}
struct SamplePart {
  std::string key;
  std::string extension;  // empty without a dot
};

SamplePart SplitMemberName(absl::string_view name);

}  // namespace bitquake
