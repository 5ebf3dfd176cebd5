#include "common/channel/certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

template <auto function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    function(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

constexpr size_t kLargestFile = 1 << 20;
constexpr absl::string_view kRolePrefix = "bitquake:role:";

BioPtr Memory(absl::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Nobody is asked for a passphrase: who would answer?
int NoPassphrase(char*, int, int, void*) { return -1; }

X509Ptr ParseCertificate(absl::string_view pem) {
  X509Ptr certificate(PEM_read_bio_X509(Memory(pem).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return certificate;
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm broken_down{};
  return ASN1_TIME_to_tm(time, &broken_down) == 1 ? absl::FromTM(broken_down, absl::UTCTimeZone())
                                                  : absl::InfinitePast();
}

std::string CommonName(X509* certificate) {
  const int at = X509_NAME_get_index_by_NID(X509_get_subject_name(certificate), NID_commonName, -1);
  if (at < 0) {
    return "";
  }
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(
      &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(certificate), at)));
  std::string name;
  if (size > 0) {
    name.assign(reinterpret_cast<const char*>(text), size);
  }
  OPENSSL_free(text);
  return name;
}

absl::StatusOr<std::string> Role(X509* certificate) {
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string role;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) {
      continue;
    }
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    absl::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                           ASN1_STRING_length(uri));
    if (!absl::ConsumePrefix(&text, kRolePrefix)) {
      continue;
    }
    if (!role.empty()) {
      return absl::InvalidArgumentError("the certificate holds several roles; make one for each");
    }
    role = std::string(text);
  }
  return role;
}

}  // namespace

absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem) {
  const X509Ptr certificate = ParseCertificate(pem);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError("no certificate in PEM");
  }
  CertificateFacts facts;
  facts.name = CommonName(certificate.get());
  ASSIGN_OR_RETURN(facts.role, Role(certificate.get()));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest, &size) != 1) {
    return absl::InternalError("cannot digest a certificate");
  }
  facts.fingerprint = ToHex({reinterpret_cast<const char*>(digest), size});
  facts.not_before = ToTime(X509_get0_notBefore(certificate.get()));
  facts.not_after = ToTime(X509_get0_notAfter(certificate.get()));
  return facts;
}

absl::Status CheckKey(absl::string_view certificate_pem, absl::string_view key_pem) {
  const X509Ptr certificate = ParseCertificate(certificate_pem);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError("no certificate in PEM");
  }
  const KeyPtr key(PEM_read_bio_PrivateKey(Memory(key_pem).get(), nullptr, NoPassphrase, nullptr));
  const bool matches = key != nullptr && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError("no private key in PEM, or one with a passphrase");
  }
  return matches ? absl::OkStatus()
                 : absl::InvalidArgumentError("the key is not that of the certificate");
}

absl::StatusOr<std::string> ReadCertificateFile(absl::string_view flag, const std::string& path) {
  const absl::StatusOr<std::string> pem = ReadFile(path, kLargestFile);
  if (!pem.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": ", pem.status().message()));
  }
  const absl::StatusOr<CertificateFacts> facts = ReadCertificate(*pem);
  if (!facts.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", path, ": ", facts.status().message()));
  }
  if (facts->not_after < absl::Now()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", path, ": the certificate expired on ",
                     absl::FormatTime(facts->not_after, absl::UTCTimeZone()), "; make another"));
  }
  return *pem;
}

absl::StatusOr<std::string> ReadKeyFile(absl::string_view flag, const std::string& path,
                                        absl::string_view certificate_pem) {
  const absl::StatusOr<std::string> pem = ReadFile(path, kLargestFile);
  if (!pem.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": ", pem.status().message()));
  }
  const absl::Status matches = CheckKey(certificate_pem, *pem);
  return matches.ok()
             ? pem
             : absl::InvalidArgumentError(absl::StrCat(flag, " ", path, ": ", matches.message()));
}

}  // namespace bitquake
