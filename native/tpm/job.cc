// The jobs of job.h.
#include "job.h"

namespace holdfast {
namespace {

constexpr Failure kBusy = {"another operation of this TPM is under way", 0, "ERR_TPM_BUSY"};
constexpr Failure kClosed = {"the TPM was closed", 0, "ERR_TPM_CLOSED"};

}  // namespace

// Lets go of the device: that may wait for a TPM which has not answered, so it is not for the event loop.
class TpmJob::Closing : public TpmJob {
  TpmFailure Run() override {
    handle->connection.reset();
    return {};
  }
  napi_value Result(napi_env env) override { return Undefined(env); }
};

napi_value TpmJob::Start(napi_env env, std::unique_ptr<TpmJob> job) {
  napi_value promise = nullptr;
  if (!Ok(env, napi_create_promise(env, &job->deferred_, &promise))) return nullptr;
  if (job->handle->closed || job->handle->busy) {
    job->failure_ = job->handle->closed ? kClosed : kBusy;
    job->Settle(env);
    return promise;
  }
  return Queue(env, std::move(job)) ? promise : nullptr;
}

bool TpmJob::Queue(napi_env env, std::unique_ptr<TpmJob> job) {
  napi_value name = nullptr;
  if (!Ok(env, napi_create_string_utf8(env, "holdfast:tpm", NAPI_AUTO_LENGTH, &name)) ||
      !Ok(env, napi_create_async_work(env, nullptr, name, Execute, Complete, job.get(), &job->work_))) {
    return false;
  }
  if (!Ok(env, napi_queue_async_work(env, job->work_))) {
    napi_delete_async_work(env, job->work_);
    return false;
  }
  job->handle->busy = true;
  static_cast<void>(job.release());  // Complete frees it
  return true;
}

void TpmJob::Execute(napi_env, void* data) {
  auto* job = static_cast<TpmJob*>(data);
  job->failure_ = job->Run();
}

void TpmJob::Complete(napi_env env, napi_status status, void* data) {
  const std::unique_ptr<TpmJob> job(static_cast<TpmJob*>(data));
  napi_delete_async_work(env, job->work_);
  job->handle->busy = false;
  // Else it was cancelled, by the end of the environment.
  if (status == napi_ok && job->deferred_ != nullptr) job->Settle(env);
  if (job->handle->closed) StartClosing(env, job->handle);
}

void TpmJob::Settle(napi_env env) {
  napi_value value = failure_ ? nullptr : Result(env);
  if (value != nullptr) {
    napi_resolve_deferred(env, deferred_, value);
    return;
  }
  if (failure_) {
    value = MakeTpmError(env, handle->library.get(), failure_);
  } else {
    napi_get_and_clear_last_exception(env, &value);
  }
  if (value != nullptr) napi_reject_deferred(env, deferred_, value);
}

napi_value TpmJob::Close(napi_env env, const std::shared_ptr<TpmHandle>& handle) {
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  if (!Ok(env, napi_create_promise(env, &deferred, &promise))) return nullptr;
  handle->closed = true;
  handle->closing.push_back(deferred);
  if (!handle->busy) StartClosing(env, handle);
  return promise;
}

void TpmJob::StartClosing(napi_env env, const std::shared_ptr<TpmHandle>& handle) {
  if (handle->connection != nullptr) {
    auto job = std::make_unique<Closing>();
    job->handle = handle;
    if (Queue(env, std::move(job))) return;
    napi_value ignored = nullptr;
    napi_get_and_clear_last_exception(env, &ignored);
    handle->connection.reset();
  }
  SettleClosing(env, handle.get());
}

void TpmJob::SettleClosing(napi_env env, TpmHandle* handle) {
  napi_value undefined = nullptr;
  napi_get_undefined(env, &undefined);
  for (const napi_deferred deferred : std::exchange(handle->closing, {})) {
    napi_resolve_deferred(env, deferred, undefined);
  }
}

napi_value RejectPending(napi_env env) {
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  napi_value error = nullptr;
  const bool rejected = napi_get_and_clear_last_exception(env, &error) == napi_ok &&
                        napi_create_promise(env, &deferred, &promise) == napi_ok &&
                        napi_reject_deferred(env, deferred, error) == napi_ok;
  return rejected ? promise : nullptr;
}

napi_value MakeTpmError(napi_env env, Tss2Library* library, const TpmFailure& failure) {
  Failure plain = failure.cause;
  std::string text;
  if (plain.what == nullptr) {
    plain = {"", 0, "ERR_TPM"};
    std::string why;
    const Tss2* tss = library->Load(&why);
    char number[16];
    snprintf(number, sizeof number, "0x%x", failure.rc);
    text = number;
    if (tss != nullptr && tss->Tss2_RC_Decode != nullptr) text += std::string(" ") + tss->Tss2_RC_Decode(failure.rc);
  } else {
    text = plain.what;
  }
  if (failure.call != nullptr) text = std::string(failure.call) + ": " + text;
  if (!failure.detail.empty()) text += ": " + failure.detail;
  plain.what = text.c_str();
  napi_value error = MakeError(env, plain);
  if (error == nullptr) return nullptr;
  if (failure.rc != 0 && !SetNumber(env, error, "rc", failure.rc)) return nullptr;
  if (failure.call == nullptr) return error;
  napi_value call = nullptr;
  const bool named = Ok(env, napi_create_string_utf8(env, failure.call, NAPI_AUTO_LENGTH, &call)) &&
                     Ok(env, napi_set_named_property(env, error, "call", call));
  return named ? error : nullptr;
}

}  // namespace holdfast
