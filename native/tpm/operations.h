// The operations of a TPM, as the contract in src/lib/native-tpm.ts states them. Each leaves nothing loaded.
// Knows nothing of JavaScript.
#pragma once

#include "bytes.h"
#include "keys.h"

namespace holdfast {

TpmFailure FlushStale(TpmConnection* tpm, uint32_t* count);
TpmFailure GetCapability(TpmConnection* tpm, uint32_t capability, uint32_t property, uint32_t count, Bytes* out);
// Both leave `found` false when there is nothing.
TpmFailure NvRead(TpmConnection* tpm, TPM2_HANDLE index, bool* found, Bytes* out);  // nv.cc
TpmFailure ReadPublic(TpmConnection* tpm, const TpmKey& key, bool* found, Bytes* out);

struct PcrValues {
  uint32_t update_counter = 0;
  Bytes selection;
  std::vector<Bytes> digests;
};
TpmFailure PcrRead(TpmConnection* tpm, const TPML_PCR_SELECTION& selection, PcrValues* out);

struct CreatedKey {
  Bytes public_area;
  Bytes private_area;
  Bytes creation_data;
  Bytes attestation;
  Bytes signature;
};
TpmFailure CreateAk(TpmConnection* tpm, const TpmKey& parent, const TPM2B_PUBLIC& key_template, CreatedKey* out);

TpmFailure ActivateCredential(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& ak, const TpmKey& ek,
                              const TPM2B_ID_OBJECT& credential, const TPM2B_ENCRYPTED_SECRET& secret, Bytes* out);

struct Quote {
  Bytes attest;
  Bytes signature;
};
TpmFailure MakeQuote(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& ak, const TPM2B_DATA& qualifying_data,
                     const TPML_PCR_SELECTION& selection, Quote* out);

// Nothing is at that handle.
constexpr TSS2_RC kAbsent = TPM2_RC_HANDLE + TPM2_RC_1;

}  // namespace holdfast
