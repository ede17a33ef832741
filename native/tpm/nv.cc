// The reads of NV indices, and the flush of what others left, of operations.h.
#include <endian.h>

#include <algorithm>
#include <cstring>

#include "operations.h"

namespace holdfast {
namespace {

// More is not asked for at once; some TPMs give less.
constexpr UINT16 kChunk = 512;

// Whether the TPM refused the authorization, not the command.
bool IsRefusal(TSS2_RC rc) {
  const TSS2_RC code = rc & (TPM2_RC_FMT1 | 0x3f);
  return (rc & TPM2_RC_FMT1) != 0 && (code == TPM2_RC_BAD_AUTH || code == TPM2_RC_AUTH_FAIL);
}

// How much the TPM gives in one read.
TpmFailure ReadChunk(TpmConnection* tpm, UINT16* out) {
  Owned<TPMS_CAPABILITY_DATA> data(*tpm);
  TPMI_YES_NO more = 0;
  const TSS2_RC rc = tpm->tss.Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                                 TPM2_CAP_TPM_PROPERTIES, TPM2_PT_NV_BUFFER_MAX, 1, &more, data.out());
  if (TpmFailure failure = tpm->Check("Esys_GetCapability", rc)) return failure;
  *out = kChunk;
  const TPML_TAGGED_TPM_PROPERTY& list = data->data.tpmProperties;
  if (list.count == 1 && list.tpmProperty[0].property == TPM2_PT_NV_BUFFER_MAX && list.tpmProperty[0].value != 0) {
    *out = static_cast<UINT16>(std::min<UINT32>(kChunk, list.tpmProperty[0].value));
  }
  return {};
}

TpmFailure ReadAs(TpmConnection* tpm, ESYS_TR authority, ESYS_TR index, UINT16 size, UINT16 chunk, Bytes* out) {
  out->clear();
  while (out->size() < size) {
    const auto offset = static_cast<UINT16>(out->size());
    const auto want = std::min<UINT16>(chunk, static_cast<UINT16>(size - offset));
    Owned<TPM2B_MAX_NV_BUFFER> data(*tpm);
    const TSS2_RC rc = tpm->tss.Esys_NV_Read(tpm->esys, authority, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                             want, offset, data.out());
    if (TpmFailure failure = tpm->Check("Esys_NV_Read", rc)) return failure;
    if (data->size != want) return Failure{"Esys_NV_Read gave another length than was asked for", 0, "ERR_TPM"};
    out->insert(out->end(), data->buffer, data->buffer + data->size);
  }
  return {};
}

}  // namespace

TpmFailure NvRead(TpmConnection* tpm, TPM2_HANDLE number, bool* found, Bytes* out) {
  TpmObject index(tpm);
  TSS2_RC rc = tpm->tss.Esys_TR_FromTPMPublic(tpm->esys, number, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                              index.Persistent());
  if (rc == kAbsent) return {};
  if (TpmFailure failure = tpm->Check("Esys_TR_FromTPMPublic", rc)) return failure;
  Owned<TPM2B_NV_PUBLIC> area(*tpm);
  rc = tpm->tss.Esys_NV_ReadPublic(tpm->esys, index.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, area.out(),
                                   nullptr);
  if (TpmFailure failure = tpm->Check("Esys_NV_ReadPublic", rc)) return failure;

  // Those first whose failure does not count towards the TPM's lockout.
  const TPMA_NV attributes = area->nvPublic.attributes;
  const bool by_index = (attributes & TPMA_NV_AUTHREAD) != 0;
  const bool by_owner = (attributes & TPMA_NV_OWNERREAD) != 0;
  const bool harmless = (attributes & TPMA_NV_NO_DA) != 0;
  std::vector<ESYS_TR> authorities;
  if (by_index && harmless) authorities.push_back(index.get());
  if (by_owner) authorities.push_back(ESYS_TR_RH_OWNER);
  if (by_index && authorities.empty()) authorities.push_back(index.get());

  UINT16 chunk = 0;
  if (TpmFailure failure = ReadChunk(tpm, &chunk)) return failure;
  TpmFailure failure =
      Failure{"the NV index can be read neither by the owner nor by its own authorization", 0, "ERR_TPM"};
  for (const ESYS_TR authority : authorities) {
    failure = ReadAs(tpm, authority, index.get(), area->nvPublic.dataSize, chunk, out);
    if (!failure || !IsRefusal(failure.rc)) break;
  }
  *found = !failure;
  return failure;
}

TpmFailure FlushStale(TpmConnection* tpm, uint32_t* count) {
  for (const TPM2_HANDLE first : {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST, TPM2_ACTIVE_SESSION_FIRST}) {
    Owned<TPMS_CAPABILITY_DATA> data(*tpm);
    TPMI_YES_NO more = 0;
    const TSS2_RC rc = tpm->tss.Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                                   TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, &more, data.out());
    if (TpmFailure failure = tpm->Check("Esys_GetCapability", rc)) return failure;
    const TPML_HANDLE& list = data->data.handles;
    for (UINT32 i = 0; i < list.count; i++) {
      // Of handles that are not ours libtss2 knows nothing, so it cannot flush them.
      const uint32_t handle = htobe32(list.handle[i]);
      uint8_t command[14] = {0x80, 0x01, 0, 0, 0, sizeof command, 0, 0, 0x01, 0x65};
      memcpy(command + 10, &handle, sizeof handle);
      if (TpmFailure failure = tpm->Send("TPM2_FlushContext", command, sizeof command)) return failure;
      ++*count;
    }
  }
  return {};
}

}  // namespace holdfast
