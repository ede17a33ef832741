// Opens TPMs for JavaScript: tpmUnavailable and openTpm.
#include <climits>

#include "methods.h"

namespace holdfast {
namespace {

constexpr size_t kMaxName = 4096;

class OpenJob : public TpmJob {
 public:
  std::string name;
  int timeout_ms = 0;

 private:
  TpmFailure Run() override {
    return TpmConnection::Open(handle->library.get(), name, timeout_ms, &handle->connection);
  }
  napi_value Result(napi_env env) override {
    handle->tss = &handle->connection->tss;
    return WrapTpm(env, handle);
  }
};

// The arguments and what InitTpm left for us.
bool GetCall(napi_env env, napi_callback_info info, napi_value* arguments, std::shared_ptr<Tss2Library>* library) {
  size_t count = 2;
  void* data = nullptr;
  if (!Ok(env, napi_get_cb_info(env, info, &count, arguments, nullptr, &data))) return false;
  *library = static_cast<AddonData*>(data)->tss;
  SilenceTss2();
  return true;
}

// tpmUnavailable()
napi_value TpmUnavailable(napi_env env, napi_callback_info info) {
  napi_value arguments[2] = {};
  std::shared_ptr<Tss2Library> library;
  napi_value result = nullptr;
  if (!GetCall(env, info, arguments, &library)) return nullptr;
  std::string why;
  const bool available = library->Load(&why) != nullptr;
  const napi_status status =
      available ? napi_get_null(env, &result) : napi_create_string_utf8(env, why.data(), why.size(), &result);
  return Ok(env, status) ? result : nullptr;
}

// openTpm(tcti, timeoutMs)
napi_value OpenTpm(napi_env env, napi_callback_info info) {
  napi_value arguments[2] = {};
  auto job = std::make_unique<OpenJob>();
  job->handle = std::make_shared<TpmHandle>();
  if (!GetCall(env, info, arguments, &job->handle->library) ||
      !GetString(env, arguments[0], "tcti", kMaxName, &job->name) ||
      !GetInteger(env, arguments[1], "timeoutMs", 1, INT_MAX, &job->timeout_ms)) {
    return RejectPending(env);
  }
  return TpmJob::Start(env, std::move(job));
}

}  // namespace

bool InitTpm(napi_env env, napi_value exports, AddonData* data) {
  data->tss = std::make_shared<Tss2Library>();
  return DefineFunction(env, exports, "tpmUnavailable", TpmUnavailable, data) &&
         DefineFunction(env, exports, "openTpm", OpenTpm, data);
}

}  // namespace holdfast
