// The readers of arguments.h.
#include "arguments.h"

#include <cerrno>
#include <cmath>

namespace holdfast {
namespace {

bool Wrong(napi_env env, const char* name, const std::string& what) {
  ThrowType(env, (std::string(name) + " must be " + what).c_str());
  return false;
}

bool GetProperty(napi_env env, napi_value object, const char* name, napi_value* out) {
  return Ok(env, napi_get_named_property(env, object, name, out));
}

bool IsObject(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_object;
}

}  // namespace

bool TpmArguments::Number(size_t position, const char* name, uint32_t min, uint32_t max, uint32_t* out) const {
  return ReadNumber(values_[position], name, min, max, out);
}

bool TpmArguments::ReadNumber(napi_value value, const char* name, uint32_t min, uint32_t max, uint32_t* out) const {
  double number = 0;
  if (napi_get_value_double(env_, value, &number) != napi_ok || !(number >= min) || !(number <= max) ||
      number != std::trunc(number)) {
    return Wrong(env_, name, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  *out = static_cast<uint32_t>(number);
  return true;
}

bool TpmArguments::Refuse(const char* name) const {
  const std::string text = std::string(name) + " is no such structure of the TPM";
  Throw(env_, {text.c_str(), EINVAL});
  return false;
}

bool TpmArguments::ReadBytes(napi_value value, const char* name, Bytes* out) const {
  bool is_array = false;
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_is_typedarray(env_, value, &is_array) != napi_ok || !is_array ||
      napi_get_typedarray_info(env_, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    return Wrong(env_, name, "a Uint8Array");
  }
  if (length > kTpmBufferSize) return Refuse(name);
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (length != 0) out->assign(bytes, bytes + length);
  return true;
}

bool TpmArguments::Key(size_t position, const char* name, TpmKey* out) const {
  napi_value value = values_[position];
  napi_value handle = nullptr;
  napi_value auth = nullptr;
  napi_valuetype type = napi_undefined;
  std::string text;
  if (!IsObject(env_, value)) return Wrong(env_, name, "an object");
  if (!GetProperty(env_, value, "auth", &auth) || !GetString(env_, auth, "auth", 64, &text) ||
      !GetProperty(env_, value, "handle", &handle) || !Ok(env_, napi_typeof(env_, handle, &type))) {
    return false;
  }
  if (text != "password" && text != "policy-secret") return Wrong(env_, "auth", "\"password\" or \"policy-secret\"");
  out->policy_secret = text == "policy-secret";
  napi_value branches = nullptr;
  napi_valuetype branches_type = napi_undefined;
  if (!GetProperty(env_, value, "policyOr", &branches) || !Ok(env_, napi_typeof(env_, branches, &branches_type)) ||
      (branches_type != napi_undefined && !StructureOf(branches, "policyOr", &out->policy_or))) {
    return false;
  }
  if (type == napi_undefined) return ReadPrimary(value, out);
  return ReadNumber(handle, "handle", TPM2_PERSISTENT_FIRST, TPM2_PERSISTENT_LAST, &out->handle);
}

bool TpmArguments::ReadPrimary(napi_value value, TpmKey* out) const {
  napi_value hierarchy = nullptr;
  napi_value bytes = nullptr;
  std::string text;
  if (!GetProperty(env_, value, "hierarchy", &hierarchy) || !GetString(env_, hierarchy, "hierarchy", 64, &text)) {
    return false;
  }
  if (text != "owner" && text != "endorsement") return Wrong(env_, "hierarchy", "\"owner\" or \"endorsement\"");
  out->hierarchy = text == "owner" ? ESYS_TR_RH_OWNER : ESYS_TR_RH_ENDORSEMENT;
  return GetProperty(env_, value, "template", &bytes) && StructureOf(bytes, "template", &out->template_public);
}

bool TpmArguments::Blob(size_t position, const char* name, TpmKeyBlob* out) const {
  napi_value value = values_[position];
  napi_value public_area = nullptr;
  napi_value private_area = nullptr;
  if (!IsObject(env_, value)) return Wrong(env_, name, "an object");
  return GetProperty(env_, value, "public", &public_area) && GetProperty(env_, value, "private", &private_area) &&
         StructureOf(public_area, "public", &out->public_area) &&
         StructureOf(private_area, "private", &out->private_area);
}

napi_value ToBuffer(napi_env env, const Bytes& bytes) {
  napi_value buffer = nullptr;
  const uint8_t none = 0;
  const void* data = bytes.empty() ? &none : bytes.data();
  return Ok(env, napi_create_buffer_copy(env, bytes.size(), data, nullptr, &buffer)) ? buffer : nullptr;
}

bool SetBytes(napi_env env, napi_value object, const char* name, const Bytes& bytes) {
  napi_value buffer = ToBuffer(env, bytes);
  return buffer != nullptr && Ok(env, napi_set_named_property(env, object, name, buffer));
}

}  // namespace holdfast
