// A set of credentials as deploy/make-credentials.sh makes it, for the time of a test.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace bitquake {

class MadeCredentials {
 public:
  explicit MadeCredentials(const std::string& arguments = "--host localhost") {
    std::string pattern = testing::TempDir() + "/bq-credentials-XXXXXX";
    path_ = mkdtemp(pattern.data());
    Script(arguments);
  }
  ~MadeCredentials() {
    std::filesystem::remove_all(path_);
    std::filesystem::remove(Log());
  }
  MadeCredentials(const MadeCredentials&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  std::string Read(const std::string& name) const {
    const auto text = ReadFile(Path(name));
    EXPECT_TRUE(text.ok()) << text.status();
    return text.value_or("");
  }

  void Script(const std::string& arguments) const {
    Shell(absl::StrCat("bash " BITQUAKE_SOURCE_DIR "/deploy/make-credentials.sh ", path_, " ",
                       arguments));
  }

  // Runs a command in the folder.
  void Shell(const std::string& command) const {
    const std::string whole =
        absl::StrCat("cd ", path_, " && { ", command, "; } >", Log(), " 2>&1 </dev/null");
    EXPECT_EQ(std::system(whole.c_str()), 0) << command << "\n" << ReadFile(Log()).value_or("");
  }

  // A certificate NAME.crt with a key NAME.key, signed by this CA, as openssl x509's arguments say.
  void Sign(const std::string& name, const std::string& extensions, int days) const {
    Shell(absl::StrCat("printf '", extensions,
                       "' >ext && openssl req -new -newkey ec -pkeyopt "
                       "ec_paramgen_curve:P-256 -nodes -subj /CN=",
                       name, " -keyout ", name,
                       ".key -out csr && "
                       "openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -set_serial 77 -days ",
                       days, " -extfile ext -out ", name, ".crt && rm ext csr"));
  }

 private:
  std::string Log() const { return path_ + ".log"; }

  std::string path_;
};

}  // namespace bitquake
