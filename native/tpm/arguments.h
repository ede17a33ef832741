// Arguments of TPM operations from JavaScript, and their results back.
#pragma once

#include "operations.h"

namespace holdfast {

// The arguments of one call. Each reader returns false with an exception pending when one is not as it must be.
class TpmArguments {
 public:
  TpmArguments(napi_env env, const Tss2& tss, const napi_value* values) : env_(env), tss_(tss), values_(values) {}

  bool Number(size_t position, const char* name, uint32_t min, uint32_t max, uint32_t* out) const;
  bool Key(size_t position, const char* name, TpmKey* out) const;
  bool Blob(size_t position, const char* name, TpmKeyBlob* out) const;
  // A Uint8Array that holds this structure and nothing else.
  template <class T>
  bool Structure(size_t position, const char* name, T* out) const {
    return StructureOf(values_[position], name, out);
  }

 private:
  template <class T>
  bool StructureOf(napi_value value, const char* name, T* out) const {
    Bytes bytes;
    if (!ReadBytes(value, name, &bytes)) return false;
    const Failure failure = Unpack(tss_, bytes, out);
    return !failure || Refuse(name);
  }
  bool ReadBytes(napi_value value, const char* name, Bytes* out) const;
  bool ReadNumber(napi_value value, const char* name, uint32_t min, uint32_t max, uint32_t* out) const;
  bool ReadPrimary(napi_value value, TpmKey* out) const;
  // EINVAL, of a structure; returns false.
  bool Refuse(const char* name) const;

  const napi_env env_;
  const Tss2& tss_;
  const napi_value* const values_;
};

// nullptr with an exception pending on failure.
napi_value ToBuffer(napi_env env, const Bytes& bytes);
bool SetBytes(napi_env env, napi_value object, const char* name, const Bytes& bytes);

}  // namespace holdfast
