#include "worker/data/tar_index.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

constexpr int64_t kBlock = 512;

struct ArchiveCloser {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

absl::Status Damaged(const std::string& path, absl::string_view after, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": damaged or truncated tar ",
                   after.empty() ? std::string("at its start")
                                 : absl::StrCat("at or after member '", after, "'"),
                   ": ", what, "; fetch the file again"));
}

absl::string_view ErrorText(archive* reader) {
  const char* text = archive_error_string(reader);
  return text == nullptr ? "unreadable" : text;
}

// libarchive also warns when it cannot show a name in the process's locale; the name's bytes are
// right then.
bool HasOtherThanAscii(absl::string_view name) {
  return !std::all_of(name.begin(), name.end(), absl::ascii_isascii);
}

bool IsZeroBlock(absl::string_view bytes, int64_t offset) {
  const absl::string_view block =
      bytes.substr(std::min<size_t>(offset, bytes.size())).substr(0, kBlock);
  return block.size() == kBlock &&
         std::all_of(block.begin(), block.end(), [](char c) { return c == 0; });
}

}  // namespace

absl::StatusOr<std::vector<TarMember>> IndexTar(absl::string_view bytes, const std::string& path) {
  std::unique_ptr<archive, ArchiveCloser> reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return Damaged(path, "", ErrorText(reader.get()));
  }
  std::vector<TarMember> members;
  std::string last;
  int64_t end = 0;  // of the last member with its padding
  archive_entry* entry = nullptr;
  for (;;) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) {
      break;
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      return Damaged(path, last, ErrorText(reader.get()));
    }
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) {
      return Damaged(path, last, "a member without a name");
    }
    last = name;
    if (result == ARCHIVE_WARN && !HasOtherThanAscii(last)) {
      return Damaged(path, last, ErrorText(reader.get()));
    }
    // The reader stands right behind the header blocks, however many there are.
    const int64_t offset = archive_filter_bytes(reader.get(), 0);
    const int64_t size = archive_entry_size(entry);
    if (archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr) {
      if (archive_entry_sparse_count(entry) > 0) {
        return Damaged(path, last, "a sparse file, whose bytes do not lie in one piece");
      }
      if (size < 0 || size > static_cast<int64_t>(bytes.size()) - offset) {
        return Damaged(path, last, absl::StrCat(size, " bytes stated, fewer are there"));
      }
      members.push_back({last, offset, size});
    }
    if (archive_read_data_skip(reader.get()) != ARCHIVE_OK) {
      return Damaged(path, last, ErrorText(reader.get()));
    }
    end = archive_filter_bytes(reader.get(), 0);
  }
  if (!IsZeroBlock(bytes, end)) {
    return Damaged(path, last, "no end-of-archive marker");
  }
  return members;
}

SamplePart SplitMemberName(absl::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t base = slash == absl::string_view::npos ? 0 : slash + 1;
  const size_t dot = name.find('.', base);
  if (dot == absl::string_view::npos) {
    return {std::string(name), ""};
  }
  return {std::string(name.substr(0, dot)), absl::AsciiStrToLower(name.substr(dot + 1))};
}

}  // namespace bitquake
