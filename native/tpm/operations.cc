// The operations of operations.h that deal in keys and PCRs.
#include "operations.h"

namespace holdfast {
namespace {

// Sign by the scheme that the key itself has.
constexpr TPMT_SIG_SCHEME kOwnScheme = {TPM2_ALG_NULL, {}};

template <class Sized>
Bytes Copy(const Sized& from) {
  return Bytes(from.buffer, from.buffer + from.size);
}

Bytes Copy(const TPM2B_ATTEST& from) { return Bytes(from.attestationData, from.attestationData + from.size); }

}  // namespace

TpmFailure GetCapability(TpmConnection* tpm, uint32_t capability, uint32_t property, uint32_t count, Bytes* out) {
  Owned<TPMS_CAPABILITY_DATA> data(*tpm);
  TPMI_YES_NO more = 0;
  const TSS2_RC rc = tpm->tss.Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, capability,
                                                 property, count, &more, data.out());
  if (TpmFailure failure = tpm->Check("Esys_GetCapability", rc)) return failure;
  return Pack(tpm, *data, out);
}

TpmFailure ReadPublic(TpmConnection* tpm, const TpmKey& key, bool* found, Bytes* out) {
  UsableKey usable(tpm);
  const TpmFailure opened = usable.Open(key);
  if (opened.rc == kAbsent && key.handle != 0) return {};
  if (opened) return opened;
  TPMT_PUBLIC area = {};
  if (TpmFailure failure = usable.ReadPublic(&area)) return failure;
  *found = true;
  return Pack(tpm, area, out);
}

TpmFailure PcrRead(TpmConnection* tpm, const TPML_PCR_SELECTION& selection, PcrValues* out) {
  Owned<TPML_PCR_SELECTION> read(*tpm);
  Owned<TPML_DIGEST> digests(*tpm);
  const TSS2_RC rc = tpm->tss.Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection,
                                            &out->update_counter, read.out(), digests.out());
  if (TpmFailure failure = tpm->Check("Esys_PCR_Read", rc)) return failure;
  for (UINT32 i = 0; i < digests->count; i++) out->digests.push_back(Copy(digests->digests[i]));
  return Pack(tpm, *read, &out->selection);
}

TpmFailure CreateAk(TpmConnection* tpm, const TpmKey& parent, const TPM2B_PUBLIC& key_template, CreatedKey* out) {
  const TPM2B_SENSITIVE_CREATE no_secret = {};
  const TPM2B_DATA no_data = {};
  const TPML_PCR_SELECTION no_pcrs = {};
  Owned<TPM2B_PRIVATE> private_area(*tpm);
  Owned<TPM2B_PUBLIC> public_area(*tpm);
  Owned<TPM2B_CREATION_DATA> data(*tpm);
  Owned<TPM2B_DIGEST> hash(*tpm);
  Owned<TPMT_TK_CREATION> ticket(*tpm);
  TpmObject ak(tpm);
  {
    TpmObject to_create(tpm);
    TpmObject to_load(tpm);
    UsableKey key(tpm);
    if (TpmFailure failure = key.Open(parent)) return failure;
    if (TpmFailure failure = key.Authorize(&to_create)) return failure;
    TSS2_RC rc = tpm->tss.Esys_Create(tpm->esys, key.get(), SessionOf(to_create), ESYS_TR_NONE, ESYS_TR_NONE,
                                      &no_secret, &key_template, &no_data, &no_pcrs, private_area.out(),
                                      public_area.out(), data.out(), hash.out(), ticket.out());
    if (TpmFailure failure = tpm->Check("Esys_Create", rc)) return failure;
    if (TpmFailure failure = to_create.Release()) return failure;
    if (TpmFailure failure = key.Authorize(&to_load)) return failure;
    rc = tpm->tss.Esys_Load(tpm->esys, key.get(), SessionOf(to_load), ESYS_TR_NONE, ESYS_TR_NONE, private_area.get(),
                            public_area.get(), ak.Loaded());
    if (TpmFailure failure = tpm->Check("Esys_Load", rc)) return failure;
  }
  Owned<TPM2B_ATTEST> attestation(*tpm);
  Owned<TPMT_SIGNATURE> signature(*tpm);
  const TSS2_RC rc = tpm->tss.Esys_CertifyCreation(tpm->esys, ak.get(), ak.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                                   ESYS_TR_NONE, &no_data, hash.get(), &kOwnScheme, ticket.get(),
                                                   attestation.out(), signature.out());
  if (TpmFailure failure = tpm->Check("Esys_CertifyCreation", rc)) return failure;
  if (TpmFailure failure = ak.Release()) return failure;
  out->private_area = Copy(*private_area);
  out->attestation = Copy(*attestation);
  if (TpmFailure failure = Pack(tpm, public_area->publicArea, &out->public_area)) return failure;
  if (TpmFailure failure = Pack(tpm, data->creationData, &out->creation_data)) return failure;
  return Pack(tpm, *signature, &out->signature);
}

TpmFailure ActivateCredential(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& ak, const TpmKey& ek,
                              const TPM2B_ID_OBJECT& credential, const TPM2B_ENCRYPTED_SECRET& secret, Bytes* out) {
  TpmObject signer(tpm);
  TpmObject encryption(tpm);
  TpmObject policy(tpm);
  UsableKey key(tpm);
  if (TpmFailure failure = LoadBelow(tpm, parent, ak, &signer)) return failure;
  if (TpmFailure failure = key.Open(ek)) return failure;
  if (TpmFailure failure = StartEncryption(tpm, key.get(), TPMA_SESSION_ENCRYPT, &encryption)) return failure;
  if (TpmFailure failure = key.Authorize(&policy)) return failure;
  Owned<TPM2B_DIGEST> recovered(*tpm, /*secret=*/true);
  const TSS2_RC rc =
      tpm->tss.Esys_ActivateCredential(tpm->esys, signer.get(), key.get(), ESYS_TR_PASSWORD, SessionOf(policy),
                                       encryption.get(), &credential, &secret, recovered.out());
  if (TpmFailure failure = tpm->Check("Esys_ActivateCredential", rc)) return failure;
  *out = Copy(*recovered);
  return {};
}

TpmFailure MakeQuote(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& ak, const TPM2B_DATA& qualifying_data,
                     const TPML_PCR_SELECTION& selection, Quote* out) {
  TpmObject signer(tpm);
  if (TpmFailure failure = LoadBelow(tpm, parent, ak, &signer)) return failure;
  Owned<TPM2B_ATTEST> attest(*tpm);
  Owned<TPMT_SIGNATURE> signature(*tpm);
  const TSS2_RC rc =
      tpm->tss.Esys_Quote(tpm->esys, signer.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &qualifying_data,
                          &kOwnScheme, &selection, attest.out(), signature.out());
  if (TpmFailure failure = tpm->Check("Esys_Quote", rc)) return failure;
  out->attest = Copy(*attest);
  return Pack(tpm, *signature, &out->signature);
}

}  // namespace holdfast
