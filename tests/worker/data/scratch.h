// A folder of one test's own, and tars written into it.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace bitquake {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = ::testing::TempDir() + "/bitquake-data-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  void Write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }

 private:
  std::string path_;
};

using Members = std::vector<std::pair<std::string, std::string>>;  // names and bytes

inline void WriteTar(const std::string& path, const Members& members) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  archive* tar = archive_write_new();
  archive_write_set_format_ustar(tar);
  ASSERT_EQ(archive_write_open_filename(tar, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, bytes] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, bytes.size());
    archive_entry_set_filetype(entry, AE_IFREG);
    ASSERT_EQ(archive_write_header(tar, entry), ARCHIVE_OK);
    ASSERT_EQ(archive_write_data(tar, bytes.data(), bytes.size()), static_cast<long>(bytes.size()));
    archive_entry_free(entry);
  }
  ASSERT_EQ(archive_write_close(tar), ARCHIVE_OK);
  archive_write_free(tar);
}

}  // namespace bitquake
