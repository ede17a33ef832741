// The keys of keys.h.
#include "keys.h"

namespace holdfast {
namespace {

constexpr TPMT_SYM_DEF kNoEncryption = {TPM2_ALG_NULL, {}, {}};

TPMT_SYM_DEF Aes128Cfb() {
  TPMT_SYM_DEF symmetric = {};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = 128;
  symmetric.mode.aes = TPM2_ALG_CFB;
  return symmetric;
}

}  // namespace

TpmFailure UsableKey::Open(const TpmKey& key) {
  key_ = &key;
  if (key.handle != 0) {
    return tpm_.Check("Esys_TR_FromTPMPublic",
                      tpm_.tss.Esys_TR_FromTPMPublic(tpm_.esys, key.handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                                     object_.Persistent()));
  }
  const TPM2B_SENSITIVE_CREATE no_secret = {};
  const TPM2B_DATA no_data = {};
  const TPML_PCR_SELECTION no_pcrs = {};
  Owned<TPM2B_PUBLIC> made(tpm_);
  const TSS2_RC rc = tpm_.tss.Esys_CreatePrimary(
      tpm_.esys, key.hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &key.template_public,
      &no_data, &no_pcrs, object_.Loaded(), made.out(), nullptr, nullptr, nullptr);
  if (TpmFailure failure = tpm_.Check("Esys_CreatePrimary", rc)) return failure;
  made_ = made->publicArea;
  return {};
}

TpmFailure UsableKey::ReadPublic(TPMT_PUBLIC* out) const {
  if (key_->handle == 0) {
    *out = made_;
    return {};
  }
  Owned<TPM2B_PUBLIC> read(tpm_);
  const TSS2_RC rc = tpm_.tss.Esys_ReadPublic(tpm_.esys, get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, read.out(),
                                              nullptr, nullptr);
  if (TpmFailure failure = tpm_.Check("Esys_ReadPublic", rc)) return failure;
  *out = read->publicArea;
  return {};
}

TpmFailure UsableKey::Authorize(TpmObject* session) const {
  if (!key_->policy_secret) return {};
  // The TPM compares the session's digest with the key's policy, so both must be by the same hash.
  TPMT_PUBLIC area = {};
  if (TpmFailure failure = ReadPublic(&area)) return failure;
  TSS2_RC rc = tpm_.tss.Esys_StartAuthSession(tpm_.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                              ESYS_TR_NONE, nullptr, TPM2_SE_POLICY, &kNoEncryption, area.nameAlg,
                                              session->Loaded());
  if (TpmFailure failure = tpm_.Check("Esys_StartAuthSession", rc)) return failure;
  // It ends when we flush it, and not with its use, which may fail.
  rc = tpm_.tss.Esys_TRSess_SetAttributes(tpm_.esys, session->get(), TPMA_SESSION_CONTINUESESSION, 0xff);
  if (TpmFailure failure = tpm_.Check("Esys_TRSess_SetAttributes", rc)) return failure;
  rc = tpm_.tss.Esys_PolicySecret(tpm_.esys, ESYS_TR_RH_ENDORSEMENT, session->get(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                  ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr);
  if (TpmFailure failure = tpm_.Check("Esys_PolicySecret", rc)) return failure;
  if (key_->policy_or.count == 0) return {};
  rc = tpm_.tss.Esys_PolicyOR(tpm_.esys, session->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &key_->policy_or);
  return tpm_.Check("Esys_PolicyOR", rc);
}

TpmFailure LoadBelow(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& blob, TpmObject* out) {
  TpmObject session(tpm);
  UsableKey key(tpm);
  if (TpmFailure failure = key.Open(parent)) return failure;
  if (TpmFailure failure = key.Authorize(&session)) return failure;
  const TSS2_RC rc = tpm->tss.Esys_Load(tpm->esys, key.get(), SessionOf(session), ESYS_TR_NONE, ESYS_TR_NONE,
                                        &blob.private_area, &blob.public_area, out->Loaded());
  return tpm->Check("Esys_Load", rc);
}

TpmFailure StartEncryption(TpmConnection* tpm, ESYS_TR key, TPMA_SESSION way, TpmObject* out) {
  const TPMT_SYM_DEF symmetric = Aes128Cfb();
  TSS2_RC rc = tpm->tss.Esys_StartAuthSession(tpm->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                              nullptr, TPM2_SE_HMAC, &symmetric, TPM2_ALG_SHA256, out->Loaded());
  if (TpmFailure failure = tpm->Check("Esys_StartAuthSession", rc)) return failure;
  rc = tpm->tss.Esys_TRSess_SetAttributes(tpm->esys, out->get(), way | TPMA_SESSION_CONTINUESESSION, 0xff);
  return tpm->Check("Esys_TRSess_SetAttributes", rc);
}

}  // namespace holdfast
