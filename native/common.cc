// The Node-API helpers of common.h.
#include "common.h"

#include <cmath>
#include <cstring>

namespace holdfast {

napi_value MakeError(napi_env env, const Failure& failure) {
  std::string message = failure.what;
  std::string code = failure.code != nullptr ? failure.code : "";
  if (failure.code == nullptr) {
    const char* name = strerrorname_np(failure.error);
    const char* text = strerrordesc_np(failure.error);
    code = name != nullptr ? name : "E" + std::to_string(failure.error);
    message += ": ";
    message += text != nullptr ? text : code.c_str();
  }
  napi_value js_code = nullptr;
  napi_value js_message = nullptr;
  napi_value error = nullptr;
  if (!Ok(env, napi_create_string_utf8(env, code.data(), code.size(), &js_code)) ||
      !Ok(env, napi_create_string_utf8(env, message.data(), message.size(), &js_message)) ||
      !Ok(env, napi_create_error(env, js_code, js_message, &error))) {
    return nullptr;
  }
  return error;
}

napi_value Throw(napi_env env, const Failure& failure) {
  napi_value error = MakeError(env, failure);
  if (error != nullptr) napi_throw(env, error);
  return nullptr;
}

napi_value ThrowType(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return nullptr;
}

bool Ok(napi_env env, napi_status status) {
  if (status == napi_ok) return true;
  const napi_extended_error_info* info = nullptr;
  const char* message = "Node-API call failed";
  if (napi_get_last_error_info(env, &info) == napi_ok && info->error_message != nullptr) message = info->error_message;
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) napi_throw_error(env, "ERR_NODE_API", message);
  return false;
}

bool GetInteger(napi_env env, napi_value value, const char* name, int min, int max, int* out) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= min) || !(number <= max) ||
      number != std::trunc(number)) {
    const std::string range = std::to_string(min) + " to " + std::to_string(max);
    ThrowType(env, (std::string(name) + " must be an integer from " + range).c_str());
    return false;
  }
  *out = static_cast<int>(number);
  return true;
}

bool GetBoolean(napi_env env, napi_value value, const char* name, bool* out) {
  if (napi_get_value_bool(env, value, out) == napi_ok) return true;
  ThrowType(env, (std::string(name) + " must be a boolean").c_str());
  return false;
}

bool GetString(napi_env env, napi_value value, const char* name, size_t max, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    ThrowType(env, (std::string(name) + " must be a string").c_str());
    return false;
  }
  if (length > max) {
    Throw(env, {"string argument", ENAMETOOLONG});
    return false;
  }
  out->resize(length + 1);
  if (!Ok(env, napi_get_value_string_utf8(env, value, out->data(), out->size(), &length))) return false;
  out->resize(length);
  if (out->find('\0') != std::string::npos) {
    Throw(env, {"string argument with a NUL", EINVAL});
    return false;
  }
  return true;
}

napi_value Undefined(napi_env env) {
  napi_value value = nullptr;
  return Ok(env, napi_get_undefined(env, &value)) ? value : nullptr;
}

bool SetNumber(napi_env env, napi_value object, const char* name, uint32_t number) {
  napi_value value = nullptr;
  return Ok(env, napi_create_uint32(env, number, &value)) && Ok(env, napi_set_named_property(env, object, name, value));
}

bool DefineFunction(napi_env env, napi_value object, const char* name, napi_callback function, void* data) {
  const napi_property_descriptor property = {name,    nullptr, function, nullptr,
                                             nullptr, nullptr, napi_enumerable, data};
  return Ok(env, napi_define_properties(env, object, 1, &property));
}

napi_value SymbolDispose(napi_env env) {
  napi_value global = nullptr;
  napi_value symbol = nullptr;
  napi_value dispose = nullptr;
  napi_valuetype type = napi_undefined;
  const bool found = napi_get_global(env, &global) == napi_ok &&
                     napi_get_named_property(env, global, "Symbol", &symbol) == napi_ok &&
                     napi_get_named_property(env, symbol, "dispose", &dispose) == napi_ok &&
                     napi_typeof(env, dispose, &type) == napi_ok;
  return found && type == napi_symbol ? dispose : nullptr;
}

}  // namespace holdfast
