// A shard of a data set: where the files of a tar lie, and which samples they make.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <numeric>

#include "absl/status/status.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/mutate.h"
#include "worker/data/tar_index.h"
#include "worker/data/tar_split.h"

// Of each header: octal, of the sum of its bytes with blanks where the checksum stands.
void MendChecksums(uint8_t* data, size_t size) {
  constexpr size_t kBlock = 512, kChecksum = 148, kChecksumBytes = 8, kMagic = 257;
  for (; size >= kBlock; data += kBlock, size -= kBlock) {
    if (std::memcmp(data + kMagic, "ustar", 5) == 0) {
      std::memset(data + kChecksum, ' ', kChecksumBytes);
      std::snprintf(reinterpret_cast<char*>(data) + kChecksum, kChecksumBytes - 1, "%06o",
                    std::accumulate(data, data + kBlock, 0u));
    }
  }
}

namespace bitquake {
namespace {

// The tar as a file of a data set.
void CheckSamples(absl::string_view tar) {
  static const int file = memfd_create("shard", 0);
  Must(ftruncate(file, 0) == 0 &&
           pwrite(file, tar.data(), tar.size(), 0) == static_cast<ssize_t>(tar.size()),
       "there is memory for a file");
  const auto samples = ReadTarSamples({"/proc/self/fd", {std::to_string(file)}});
  if (!samples.ok()) {
    Must(absl::IsInvalidArgument(samples.status()), "a refusal is the file's fault");
    return;
  }
  for (const Sample& sample : *samples) {
    Must(sample.label >= 0, "a sample has a class");
    Must(sample.offset > 0 && sample.size >= 0 &&
             sample.size <= static_cast<int64_t>(tar.size()) - sample.offset,
         "an image lies in the file");
  }
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const absl::string_view tar = Text(data, size);
  const absl::StatusOr<std::vector<TarMember>> members = IndexTar(tar, "shard.tar");
  if (!members.ok()) {
    Must(absl::IsInvalidArgument(members.status()), "a refusal is the file's fault");
    return 0;
  }
  int64_t end = 0;  // of the member before
  for (const TarMember& member : *members) {
    Must(member.offset >= end + 512, "a member has a header of its own");
    Must(member.size >= 0 && member.size <= static_cast<int64_t>(size) - member.offset,
         "a member lies in the file");
    end = member.offset + member.size;
    const SamplePart part = SplitMemberName(member.name);
    Must(part.key.size() + part.extension.size() + (part.extension.empty() ? 0 : 1) <=
             member.name.size(),
         "key and extension are parts of the name");
  }
  CheckSamples(tar);
  return 0;
}
