// The job of open-executable.h.
#include "open-executable.h"

#include "proc-folder.h"

namespace holdfast {
namespace {

struct Job {
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
  Failure failure;
  Fd folder;
  Fd file;
};

void Settle(napi_env env, Job* job) {
  if (job->failure) {
    napi_value error = MakeError(env, job->failure);
    if (error != nullptr) napi_reject_deferred(env, job->deferred, error);
    return;
  }
  napi_value number = nullptr;
  if (napi_create_int32(env, job->file.get(), &number) != napi_ok) return;
  // From here on the script owns the descriptor; it stays ours if the environment is being taken down.
  if (napi_resolve_deferred(env, job->deferred, number) == napi_ok) job->file.release();
}

void Execute(napi_env, void* data) {
  auto* job = static_cast<Job*>(data);
  job->failure = OpenExecutable(job->folder.get(), &job->file);
}

void Complete(napi_env env, napi_status status, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (status == napi_ok) Settle(env, job.get());  // else cancelled, by the end of the environment
  napi_delete_async_work(env, job->work);
}

}  // namespace

napi_value OpenExecutableAsync(napi_env env, const Failure& failure, Fd folder) {
  auto job = std::make_unique<Job>();
  job->failure = failure;
  job->folder = std::move(folder);
  napi_value promise = nullptr;
  napi_value name = nullptr;
  if (!Ok(env, napi_create_promise(env, &job->deferred, &promise))) return nullptr;
  if (failure) {
    Settle(env, job.get());
    return promise;
  }
  if (!Ok(env, napi_create_string_utf8(env, "holdfast:open", NAPI_AUTO_LENGTH, &name)) ||
      !Ok(env, napi_create_async_work(env, nullptr, name, Execute, Complete, job.get(), &job->work))) {
    return nullptr;
  }
  if (!Ok(env, napi_queue_async_work(env, job->work))) {
    napi_delete_async_work(env, job->work);
    return nullptr;
  }
  static_cast<void>(job.release());  // Complete frees it
  return promise;
}

}  // namespace holdfast
