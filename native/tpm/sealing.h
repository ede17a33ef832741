// Secrets that only this TPM gives back, and only while chosen PCRs are as they were. Each operation leaves nothing
// loaded. Knows nothing of JavaScript.
#pragma once

#include "bytes.h"
#include "keys.h"

namespace holdfast {

struct SealedBlob {
  Bytes public_area;
  Bytes private_area;
};

// Seals below `parent` to the values that the PCRs of `selection` have now; to none when it is empty.
TpmFailure Seal(TpmConnection* tpm, const TpmKey& parent, const TPML_PCR_SELECTION& selection,
                const TPM2B_SENSITIVE_DATA& secret, SealedBlob* out);

// TPM_RC_POLICY_FAIL when the PCRs are not as they were.
TpmFailure Unseal(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& blob,
                  const TPML_PCR_SELECTION& selection, Bytes* out);

}  // namespace holdfast
