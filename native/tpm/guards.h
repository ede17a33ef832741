// What libtss2 hands out, given back on every way out: its memory, and what it loaded into the TPM.
#pragma once

#include <string.h>

#include "connection.h"

namespace holdfast {

// Memory of libtss2.
template <class T>
class Owned {
 public:
  explicit Owned(const TpmConnection& tpm, bool secret = false) : tpm_(tpm), secret_(secret) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (pointer_ == nullptr) return;
    if (secret_) explicit_bzero(pointer_, sizeof(T));
    tpm_.tss.Esys_Free(pointer_);
  }

  // Where libtss2 puts it, once.
  T** out() { return &pointer_; }
  const T* get() const { return pointer_; }
  const T* operator->() const { return pointer_; }
  const T& operator*() const { return *pointer_; }

 private:
  const TpmConnection& tpm_;
  const bool secret_;
  T* pointer_ = nullptr;
};

// A handle of libtss2's. Unless it is of something persistent, that is flushed from the TPM with it.
class TpmObject {
 public:
  explicit TpmObject(TpmConnection* tpm) : tpm_(tpm) {}
  TpmObject(const TpmObject&) = delete;
  TpmObject& operator=(const TpmObject&) = delete;
  ~TpmObject() { static_cast<void>(Release()); }

  // Where libtss2 puts it, once.
  ESYS_TR* Loaded() {
    flush_ = true;
    return &handle_;
  }
  ESYS_TR* Persistent() {
    flush_ = false;
    return &handle_;
  }
  ESYS_TR get() const { return handle_; }
  bool empty() const { return handle_ == ESYS_TR_NONE; }

  TpmFailure Release() {
    if (handle_ == ESYS_TR_NONE) return {};
    TpmFailure failure;
    if (flush_) failure = tpm_->Check("Esys_FlushContext", tpm_->tss.Esys_FlushContext(tpm_->esys, handle_));
    // A flush that works closes the handle as well.
    if (!flush_ || failure) tpm_->tss.Esys_TR_Close(tpm_->esys, &handle_);
    handle_ = ESYS_TR_NONE;
    return failure;
  }

 private:
  TpmConnection* const tpm_;
  bool flush_ = false;
  ESYS_TR handle_ = ESYS_TR_NONE;
};

}  // namespace holdfast
