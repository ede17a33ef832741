// The TPM's structures from bytes and to bytes.
#pragma once

#include <vector>

#include "connection.h"

namespace holdfast {

using Bytes = std::vector<uint8_t>;

constexpr Failure kMalformed = {"a TPM structure cannot be read", EINVAL};

// Reads a structure that must be all of `bytes`. The size that a TPM2B has around it is not among the bytes of a
// TPM2B_PUBLIC or TPM2B_PRIVATE.
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_PUBLIC* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_PRIVATE* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_DATA* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_SENSITIVE_DATA* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPML_PCR_SELECTION* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPML_DIGEST* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_ID_OBJECT* out);
Failure Unpack(const Tss2& tss, const Bytes& bytes, TPM2B_ENCRYPTED_SECRET* out);

TpmFailure Pack(TpmConnection* tpm, const TPMT_PUBLIC& value, Bytes* out);
TpmFailure Pack(TpmConnection* tpm, const TPMT_SIGNATURE& value, Bytes* out);
TpmFailure Pack(TpmConnection* tpm, const TPMS_CREATION_DATA& value, Bytes* out);
TpmFailure Pack(TpmConnection* tpm, const TPMS_CAPABILITY_DATA& value, Bytes* out);
TpmFailure Pack(TpmConnection* tpm, const TPML_PCR_SELECTION& value, Bytes* out);

}  // namespace holdfast
