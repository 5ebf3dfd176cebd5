#include "common/base/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace bitquake {
namespace {

constexpr char kIncomplete[] = "what was printed is incomplete";

// Using one of those that were closed still fails.
void HoldStandardFiles() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) < 0) {  // the lower ones are open, so open() returns this number
      open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

}  // namespace

class Output::Buffer : public std::streambuf {
 public:
  Buffer() { Empty(); }
  const absl::Status& status() const { return status_; }

 private:
  void Empty() { setp(bytes_.data(), bytes_.data() + bytes_.size()); }

  int sync() override {
    if (status_.ok()) {
      status_ = WriteAll(STDOUT_FILENO, {pbase(), static_cast<size_t>(pptr() - pbase())}, "stdout");
    }
    Empty();
    return status_.ok() ? 0 : -1;
  }

  int_type overflow(int_type c) override {
    if (sync() != 0) {
      return traits_type::eof();
    }
    return traits_type::eq_int_type(c, traits_type::eof()) ? traits_type::not_eof(c)
                                                           : sputc(traits_type::to_char_type(c));
  }

  std::array<char, 1 << 16> bytes_;
  absl::Status status_;
};

Output::Output() {
  HoldStandardFiles();
  if (isatty(STDOUT_FILENO) == 0) {
    buffer_ = std::make_unique<Buffer>();
    before_ = std::cout.rdbuf(buffer_.get());
  }
}

Output::~Output() {
  if (buffer_ != nullptr) {
    std::cout.rdbuf(before_);
  }
}

absl::Status Output::Finish() {
  std::cout.flush();
  if (buffer_ != nullptr && !buffer_->status().ok()) {
    const absl::Status& why = buffer_->status();
    return absl::Status(why.code(), absl::StrCat(why.message(), "; ", kIncomplete));
  }
  return std::cout.good() ? absl::OkStatus()
                          : absl::DataLossError(absl::StrCat("stdout: ", kIncomplete));
}

}  // namespace bitquake
