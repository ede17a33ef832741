// Keys as operations name them, and how they get into the TPM and are authorized there.
#pragma once

#include "guards.h"

namespace holdfast {

// A persistent key, or the template of a primary; `TpmKey` of the contract.
struct TpmKey {
  TPM2_HANDLE handle = 0;              // 0: a primary
  ESYS_TR hierarchy = ESYS_TR_NONE;    // of a primary
  TPM2B_PUBLIC template_public = {};   // of a primary
  bool policy_secret = false;
  TPML_DIGEST policy_or = {};          // branches, of which PolicySecret leads to one; none: no PolicyOR
};

// A key below another one; `TpmKeyBlob` of the contract.
struct TpmKeyBlob {
  TPM2B_PUBLIC public_area = {};
  TPM2B_PRIVATE private_area = {};
};

// A key that is ready for use in the TPM.
class UsableKey {
 public:
  explicit UsableKey(TpmConnection* tpm) : tpm_(*tpm), object_(tpm) {}
  // Finds the persistent key, or makes the primary.
  TpmFailure Open(const TpmKey& key);
  // Makes the session for one use of it, if it needs one.
  TpmFailure Authorize(TpmObject* session) const;
  // TPMT_PUBLIC.
  TpmFailure ReadPublic(TPMT_PUBLIC* out) const;
  ESYS_TR get() const { return object_.get(); }

 private:
  TpmConnection& tpm_;
  TpmObject object_;
  const TpmKey* key_ = nullptr;
  TPMT_PUBLIC made_ = {};  // of a primary
};

// What to name as session: the one that Authorize made, or the empty password.
inline ESYS_TR SessionOf(const TpmObject& session) { return session.empty() ? ESYS_TR_PASSWORD : session.get(); }

// Loads `blob` below `parent`, which is gone from the TPM afterwards: there is room for three.
TpmFailure LoadBelow(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& blob, TpmObject* out);

// A session that encrypts the first parameter, of the answer (`way` TPMA_SESSION_ENCRYPT) or of the command
// (TPMA_SESSION_DECRYPT: the TPM decrypts it), with a secret that only the TPM with `key` can learn.
TpmFailure StartEncryption(TpmConnection* tpm, ESYS_TR key, TPMA_SESSION way, TpmObject* out);

}  // namespace holdfast
