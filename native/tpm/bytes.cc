// The conversions of bytes.h.
#include "bytes.h"

#include <cerrno>
#include <cstring>

namespace holdfast {
namespace {

template <class T>
using Unmarshal = TSS2_RC (*)(const uint8_t*, size_t, size_t*, T*);
template <class T>
using Marshal = TSS2_RC (*)(const T*, uint8_t*, size_t, size_t*);

template <class T>
Failure UnpackBy(Unmarshal<T> unmarshal, const Bytes& bytes, T* out) {
  size_t offset = 0;
  *out = {};
  if (bytes.empty() || unmarshal(bytes.data(), bytes.size(), &offset, out) != TSS2_RC_SUCCESS) return kMalformed;
  return offset == bytes.size() ? Failure{} : kMalformed;
}

template <class T>
TpmFailure PackBy(TpmConnection* tpm, const char* name, Marshal<T> marshal, const T& value, Bytes* out) {
  out->resize(kTpmBufferSize);
  size_t offset = 0;
  const TpmFailure failure = tpm->Check(name, marshal(&value, out->data(), out->size(), &offset));
  out->resize(failure ? 0 : offset);
  return failure;
}

template <class T>
Failure Fill(const Bytes& bytes, T* out) {
  *out = {};
  if (bytes.size() > sizeof out->buffer) return kMalformed;
  out->size = static_cast<UINT16>(bytes.size());
  if (!bytes.empty()) memcpy(out->buffer, bytes.data(), bytes.size());
  return {};
}

}  // namespace

Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_PUBLIC* out) {
  *out = {};
  return UnpackBy(tss.Tss2_MU_TPMT_PUBLIC_Unmarshal, bytes, &out->publicArea);
}

Failure Unpack(const Tss2&, const Bytes& bytes, TPM2B_PRIVATE* out) {
  return bytes.empty() ? kMalformed : Fill(bytes, out);
}

Failure Unpack(const Tss2&, const Bytes& bytes, TPM2B_DATA* out) { return Fill(bytes, out); }

Failure Unpack(const Tss2&, const Bytes& bytes, TPM2B_SENSITIVE_DATA* out) {
  return bytes.empty() ? kMalformed : Fill(bytes, out);
}

Failure Unpack(const Tss2& tss, const Bytes& bytes, TPML_PCR_SELECTION* out) {
  return UnpackBy(tss.Tss2_MU_TPML_PCR_SELECTION_Unmarshal, bytes, out);
}

Failure Unpack(const Tss2& tss, const Bytes& bytes, TPML_DIGEST* out) {
  return UnpackBy(tss.Tss2_MU_TPML_DIGEST_Unmarshal, bytes, out);
}

Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_ID_OBJECT* out) {
  return UnpackBy(tss.Tss2_MU_TPM2B_ID_OBJECT_Unmarshal, bytes, out);
}

Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_ENCRYPTED_SECRET* out) {
  return UnpackBy(tss.Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal, bytes, out);
}

TpmFailure Pack(TpmConnection* tpm, const TPMT_PUBLIC& value, Bytes* out) {
  return PackBy(tpm, "Tss2_MU_TPMT_PUBLIC_Marshal", tpm->tss.Tss2_MU_TPMT_PUBLIC_Marshal, value, out);
}

TpmFailure Pack(TpmConnection* tpm, const TPMT_SIGNATURE& value, Bytes* out) {
  return PackBy(tpm, "Tss2_MU_TPMT_SIGNATURE_Marshal", tpm->tss.Tss2_MU_TPMT_SIGNATURE_Marshal, value, out);
}

TpmFailure Pack(TpmConnection* tpm, const TPMS_CREATION_DATA& value, Bytes* out) {
  return PackBy(tpm, "Tss2_MU_TPMS_CREATION_DATA_Marshal", tpm->tss.Tss2_MU_TPMS_CREATION_DATA_Marshal, value, out);
}

TpmFailure Pack(TpmConnection* tpm, const TPMS_CAPABILITY_DATA& value, Bytes* out) {
  return PackBy(tpm, "Tss2_MU_TPMS_CAPABILITY_DATA_Marshal", tpm->tss.Tss2_MU_TPMS_CAPABILITY_DATA_Marshal, value, out);
}

TpmFailure Pack(TpmConnection* tpm, const TPML_PCR_SELECTION& value, Bytes* out) {
  return PackBy(tpm, "Tss2_MU_TPML_PCR_SELECTION_Marshal", tpm->tss.Tss2_MU_TPML_PCR_SELECTION_Marshal, value, out);
}

}  // namespace holdfast
