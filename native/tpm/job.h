// Work for a TPM off the event loop: one job at a time per handle, each with a promise.
#pragma once

#include <memory>
#include <vector>

#include "connection.h"

namespace holdfast {

// An open TPM: shared by the JavaScript object and the job that runs. All but `connection` belongs to the JavaScript
// thread; `connection` belongs to the job while one runs.
struct TpmHandle {
  std::shared_ptr<Tss2Library> library;
  const Tss2* tss = nullptr;  // once it is open
  std::unique_ptr<TpmConnection> connection;
  bool busy = false;
  bool closed = false;
  std::vector<napi_deferred> closing;  // promises of close that wait
};

class TpmJob {
 public:
  virtual ~TpmJob() = default;

  // Takes over `job` and its handle; gives the promise of its result, or nullptr with an exception pending.
  static napi_value Start(napi_env env, std::unique_ptr<TpmJob> job);
  // The promise of a close of the handle, which waits for the job that runs.
  static napi_value Close(napi_env env, const std::shared_ptr<TpmHandle>& handle);

  std::shared_ptr<TpmHandle> handle;

 protected:
  // On a thread of the pool.
  virtual TpmFailure Run() = 0;
  // On the JavaScript thread, after a Run without failure; nullptr with an exception pending on failure.
  virtual napi_value Result(napi_env env) = 0;

 private:
  class Closing;
  static bool Queue(napi_env env, std::unique_ptr<TpmJob> job);
  static void Execute(napi_env env, void* job);
  static void Complete(napi_env env, napi_status status, void* job);
  static void StartClosing(napi_env env, const std::shared_ptr<TpmHandle>& handle);
  static void SettleClosing(napi_env env, TpmHandle* handle);
  void Settle(napi_env env);

  napi_deferred deferred_ = nullptr;
  napi_async_work work_ = nullptr;
  TpmFailure failure_;
};

// The promise of a rejection with the exception that is pending; nullptr if there is no promise.
napi_value RejectPending(napi_env env);
// The JavaScript error of a failure.
napi_value MakeTpmError(napi_env env, Tss2Library* library, const TpmFailure& failure);

}  // namespace holdfast
