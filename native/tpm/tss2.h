// libtss2, loaded when it is first needed and never linked: the addon also loads on hosts without it.
#pragma once

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include <mutex>
#include <string>

namespace holdfast {

#define HOLDFAST_ESYS_FUNCTIONS(X)                                                            \
  X(Esys_Initialize) X(Esys_Finalize) X(Esys_Free) X(Esys_TR_FromTPMPublic) X(Esys_TR_Close)  \
  X(Esys_FlushContext) X(Esys_GetCapability) X(Esys_StartAuthSession)                         \
  X(Esys_TRSess_SetAttributes) X(Esys_PolicySecret) X(Esys_PolicyOR) X(Esys_CreatePrimary)    \
  X(Esys_Create) X(Esys_PolicyPCR) X(Esys_PolicyGetDigest) X(Esys_Unseal)                      \
  X(Esys_Load) X(Esys_ReadPublic) X(Esys_CertifyCreation) X(Esys_ActivateCredential)          \
  X(Esys_Quote) X(Esys_PCR_Read) X(Esys_NV_ReadPublic) X(Esys_NV_Read)

#define HOLDFAST_MU_FUNCTIONS(X)                                                              \
  X(Tss2_MU_TPMT_PUBLIC_Marshal) X(Tss2_MU_TPMT_PUBLIC_Unmarshal)                             \
  X(Tss2_MU_TPMT_SIGNATURE_Marshal) X(Tss2_MU_TPMS_CREATION_DATA_Marshal)                     \
  X(Tss2_MU_TPMS_CAPABILITY_DATA_Marshal) X(Tss2_MU_TPML_PCR_SELECTION_Marshal)               \
  X(Tss2_MU_TPML_PCR_SELECTION_Unmarshal) X(Tss2_MU_TPM2B_ID_OBJECT_Unmarshal)                \
  X(Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal) X(Tss2_MU_TPML_DIGEST_Unmarshal)

#define HOLDFAST_TCTILDR_FUNCTIONS(X) X(Tss2_TctiLdr_Initialize) X(Tss2_TctiLdr_Finalize)

#define HOLDFAST_POINTER(name) decltype(&::name) name = nullptr;

// The functions that every operation needs. Once loaded they stay to the end of the process, as code of libcrypto may
// run at its exit.
struct Tss2 {
  HOLDFAST_ESYS_FUNCTIONS(HOLDFAST_POINTER)
  HOLDFAST_MU_FUNCTIONS(HOLDFAST_POINTER)
  decltype(&::Tss2_RC_Decode) Tss2_RC_Decode = nullptr;  // may be missing
};

// Transports of others.
struct TctiLoader {
  HOLDFAST_TCTILDR_FUNCTIONS(HOLDFAST_POINTER)
};

#undef HOLDFAST_POINTER

// Keeps libtss2 from writing to standard error, unless the user asked for that. Changes the process's environment, so
// it is called on the JavaScript thread only, as an assignment to process.env would be.
void SilenceTss2();

// Loads libtss2 once for one JavaScript environment. For any thread.
class Tss2Library {
 public:
  // nullptr, and why not, where it cannot be loaded.
  const Tss2* Load(std::string* why);
  // libtss2-tctildr, which only some need.
  const TctiLoader* LoadTctiLoader(std::string* why);

 private:
  std::mutex mutex_;
  bool looked_ = false;
  std::string missing_;
  Tss2 functions_;
  bool looked_for_tctildr_ = false;
  std::string missing_tctildr_;
  TctiLoader tctildr_;
};

}  // namespace holdfast
