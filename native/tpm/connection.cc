// The connection of connection.h.
#include "connection.h"

#include <endian.h>

#include <cstring>

namespace holdfast {
namespace {

constexpr TSS2_RC kLayerMask = 0xff0000;

// The TPM itself answered, or a resource manager for it: libtss2 and the transport go on.
bool IsAnswer(TSS2_RC rc) {
  const TSS2_RC layer = rc & kLayerMask;
  return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

Failure MissingLibrary() { return {"openTpm", 0, "ERR_TPM_LIBRARY"}; }

}  // namespace

TpmFailure TpmConnection::Open(Tss2Library* library, const std::string& name, int timeout_ms,
                               std::unique_ptr<TpmConnection>* out) {
  std::string why;
  const Tss2* functions = library->Load(&why);
  if (functions == nullptr) {
    TpmFailure failure = MissingLibrary();
    failure.detail = why;
    return failure;
  }
  std::unique_ptr<TpmConnection> made(new TpmConnection(*functions, timeout_ms));
  if (TpmStream::Reads(name)) {
    const Deadline deadline = Deadline::In(timeout_ms);
    made->own_.SetDeadline(deadline);
    if (const Failure failure = made->own_.Open(name, deadline)) return failure;
    made->tcti_ = made->own_.context();
  } else {
    const TctiLoader* loader = library->LoadTctiLoader(&why);
    if (loader == nullptr) {
      TpmFailure failure = MissingLibrary();
      failure.detail = why;
      return failure;
    }
    const TSS2_RC rc = loader->Tss2_TctiLdr_Initialize(name.c_str(), &made->tcti_);
    if (rc != TSS2_RC_SUCCESS) return {"Tss2_TctiLdr_Initialize", rc};
    made->loader_ = loader;
  }
  const TSS2_RC rc = made->tss.Esys_Initialize(&made->esys, made->tcti_, nullptr);
  if (TpmFailure failure = made->Check("Esys_Initialize", rc)) return failure;
  *out = std::move(made);
  return {};
}

TpmConnection::~TpmConnection() {
  if (esys != nullptr) tss.Esys_Finalize(&esys);
  if (loader_ != nullptr) loader_->Tss2_TctiLdr_Finalize(&tcti_);
}

TpmFailure TpmConnection::Begin() {
  if (lost_) return lost_;
  own_.SetDeadline(Deadline::In(timeout_ms_));
  return {};
}

TpmFailure TpmConnection::Check(const char* call, TSS2_RC rc) {
  if (rc == TSS2_RC_SUCCESS) return {};
  TpmFailure failure(call, rc);
  if (IsAnswer(rc)) return failure;
  const bool transport = (rc & kLayerMask) == TSS2_TCTI_RC_LAYER;
  if (own_.lost()) {
    lost_ = failure.cause = own_.lost();
  } else if (transport && loader_ != nullptr) {
    lost_ = failure.cause = {"the transport failed", 0, kTpmGone};
  } else if (!lost_ && IsStuck()) {
    lost_ = {"an earlier failure left the connection unusable", 0, kTpmGone};
  }
  return failure;
}

// After some failures of its own, libtss2's context answers nothing but "wrong sequence". A flush of something that it
// does not know tells whether it does, and never gets as far as the TPM.
bool TpmConnection::IsStuck() {
  constexpr ESYS_TR kNothing = 0xfffffffe;
  return esys != nullptr && tss.Esys_FlushContext(esys, kNothing) == TSS2_ESYS_RC_BAD_SEQUENCE;
}

TpmFailure TpmConnection::Send(const char* call, const uint8_t* command, size_t size) {
  uint8_t answer[kTpmBufferSize];
  size_t length = sizeof answer;
  if (TpmFailure failure = Check(call, Tss2_Tcti_Transmit(tcti_, size, command))) return failure;
  if (TpmFailure failure = Check(call, Tss2_Tcti_Receive(tcti_, &length, answer, TSS2_TCTI_TIMEOUT_BLOCK))) {
    return failure;
  }
  uint32_t rc = 0;
  if (length < 10) return Check(call, TSS2_TCTI_RC_MALFORMED_RESPONSE);
  memcpy(&rc, answer + 6, sizeof rc);
  return Check(call, be32toh(rc));
}

}  // namespace holdfast
