#include "common/base/digest.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <xxhash.h>

#include <cstdio>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace bitquake {

Sha256Bytes Sha256(absl::string_view bytes) {
  Sha256Bytes out;
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), out.data());
  return out;
}

std::string ToHex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

std::string Sha256Hex(absl::string_view bytes) {
  const Sha256Bytes digest = Sha256(bytes);
  return ToHex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) {
    return ErrnoStatus(path);
  }
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::vector<char> buffer(1 << 20);
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0;) {
    EVP_DigestUpdate(context.get(), buffer.data(), n);
  }
  if (std::ferror(file.get())) {
    return ErrnoStatus(path);
  }
  Sha256Bytes out;
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), out.data(), &size);
  return ToHex({reinterpret_cast<const char*>(out.data()), out.size()});
}

struct Xxh3::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh); }
Xxh3::~Xxh3() = default;
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3&&) noexcept = default;

void Xxh3::Update(const void* data, size_t size) {
  if (size > 0) {
    XXH3_128bits_update(state_->xxh, data, size);
  }
}

void Xxh3::UpdateText(absl::string_view text) {
  UpdateValue<uint64_t>(text.size());
  Update(text.data(), text.size());
}

std::string Xxh3::Hex() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_->xxh));
  return ToHex({reinterpret_cast<const char*>(canonical.digest), sizeof(canonical.digest)});
}

uint64_t Xxh3::First64() const { return XXH3_128bits_digest(state_->xxh).high64; }

std::string Xxh3Hex(absl::string_view bytes) {
  Xxh3 digest;
  digest.Update(bytes.data(), bytes.size());
  return digest.Hex();
}

}  // namespace bitquake
