// The operations of sealing.h.
#include "sealing.h"

namespace holdfast {
namespace {

constexpr TPMT_SYM_DEF kNoEncryption = {TPM2_ALG_NULL, {}, {}};
constexpr TPMI_ALG_HASH kHash = TPM2_ALG_SHA256;

// A policy session, or one that only finds out the policy's digest, that has stated the PCRs.
TpmFailure StatePcrs(TpmConnection* tpm, TPM2_SE type, const TPML_PCR_SELECTION& selection, TpmObject* session) {
  TSS2_RC rc =
      tpm->tss.Esys_StartAuthSession(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                     nullptr, type, &kNoEncryption, kHash, session->Loaded());
  if (TpmFailure failure = tpm->Check("Esys_StartAuthSession", rc)) return failure;
  // It ends when we flush it, and not with its use, which may fail.
  rc = tpm->tss.Esys_TRSess_SetAttributes(tpm->esys, session->get(), TPMA_SESSION_CONTINUESESSION, 0xff);
  if (TpmFailure failure = tpm->Check("Esys_TRSess_SetAttributes", rc)) return failure;
  const TPM2B_DIGEST as_they_are = {};
  rc = tpm->tss.Esys_PolicyPCR(tpm->esys, session->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &as_they_are,
                               &selection);
  return tpm->Check("Esys_PolicyPCR", rc);
}

TpmFailure PolicyOfPcrs(TpmConnection* tpm, const TPML_PCR_SELECTION& selection, TPM2B_DIGEST* out) {
  TpmObject trial(tpm);
  if (TpmFailure failure = StatePcrs(tpm, TPM2_SE_TRIAL, selection, &trial)) return failure;
  Owned<TPM2B_DIGEST> digest(*tpm);
  const TSS2_RC rc = tpm->tss.Esys_PolicyGetDigest(tpm->esys, trial.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                                   digest.out());
  if (TpmFailure failure = tpm->Check("Esys_PolicyGetDigest", rc)) return failure;
  *out = *digest;
  return trial.Release();
}

}  // namespace

TpmFailure Seal(TpmConnection* tpm, const TpmKey& parent, const TPML_PCR_SELECTION& selection,
                const TPM2B_SENSITIVE_DATA& secret, SealedBlob* out) {
  TPM2B_PUBLIC area = {};
  area.publicArea.type = TPM2_ALG_KEYEDHASH;
  area.publicArea.nameAlg = kHash;
  area.publicArea.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
  area.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  if (selection.count == 0) {
    area.publicArea.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
  } else {
    area.publicArea.objectAttributes |= TPMA_OBJECT_ADMINWITHPOLICY;
    if (TpmFailure failure = PolicyOfPcrs(tpm, selection, &area.publicArea.authPolicy)) return failure;
  }
  TpmObject encryption(tpm);
  TpmObject session(tpm);
  UsableKey key(tpm);
  if (TpmFailure failure = key.Open(parent)) return failure;
  if (TpmFailure failure = StartEncryption(tpm, key.get(), TPMA_SESSION_DECRYPT, &encryption)) return failure;
  if (TpmFailure failure = key.Authorize(&session)) return failure;
  TPM2B_SENSITIVE_CREATE sensitive = {};
  sensitive.sensitive.data = secret;
  const TPM2B_DATA no_data = {};
  const TPML_PCR_SELECTION no_pcrs = {};
  Owned<TPM2B_PRIVATE> private_area(*tpm);
  Owned<TPM2B_PUBLIC> public_area(*tpm);
  const TSS2_RC rc = tpm->tss.Esys_Create(tpm->esys, key.get(), SessionOf(session), encryption.get(), ESYS_TR_NONE,
                                          &sensitive, &area, &no_data, &no_pcrs, private_area.out(), public_area.out(),
                                          nullptr, nullptr, nullptr);
  explicit_bzero(&sensitive, sizeof sensitive);
  if (TpmFailure failure = tpm->Check("Esys_Create", rc)) return failure;
  out->private_area.assign(private_area->buffer, private_area->buffer + private_area->size);
  return Pack(tpm, public_area->publicArea, &out->public_area);
}

TpmFailure Unseal(TpmConnection* tpm, const TpmKey& parent, const TpmKeyBlob& blob,
                  const TPML_PCR_SELECTION& selection, Bytes* out) {
  TpmObject sealed(tpm);
  TpmObject encryption(tpm);
  TpmObject policy(tpm);
  {
    // While the parent is loaded: the session is salted to it, so that nobody between us and the TPM reads the answer.
    TpmObject session(tpm);
    UsableKey key(tpm);
    if (TpmFailure failure = key.Open(parent)) return failure;
    if (TpmFailure failure = key.Authorize(&session)) return failure;
    const TSS2_RC rc = tpm->tss.Esys_Load(tpm->esys, key.get(), SessionOf(session), ESYS_TR_NONE, ESYS_TR_NONE,
                                          &blob.private_area, &blob.public_area, sealed.Loaded());
    if (TpmFailure failure = tpm->Check("Esys_Load", rc)) return failure;
    if (TpmFailure failure = session.Release()) return failure;
    if (TpmFailure failure = StartEncryption(tpm, key.get(), TPMA_SESSION_ENCRYPT, &encryption)) return failure;
  }
  if (selection.count != 0) {
    if (TpmFailure failure = StatePcrs(tpm, TPM2_SE_POLICY, selection, &policy)) return failure;
  }
  Owned<TPM2B_SENSITIVE_DATA> secret(*tpm, /*secret=*/true);
  const TSS2_RC rc = tpm->tss.Esys_Unseal(tpm->esys, sealed.get(), SessionOf(policy), encryption.get(), ESYS_TR_NONE,
                                          secret.out());
  if (TpmFailure failure = tpm->Check("Esys_Unseal", rc)) return failure;
  out->assign(secret->buffer, secret->buffer + secret->size);
  return {};
}

}  // namespace holdfast
