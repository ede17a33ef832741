// lockFile: one process per file, by flock(2).
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>

#include "common.h"

namespace holdfast {
namespace {

// Someone who deletes the file between our open and our lock gets us to try again, this often.
constexpr int kAttempts = 8;

// Leaves `out` closed when another process holds the lock.
Failure Lock(const std::string& path, Fd* out) {
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600));
    if (!fd.open()) return {"open the lock file", errno};
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return {};
      if (errno == EINTR) continue;
      return {"flock", errno};
    }
    // A lock on a file that was deleted meanwhile excludes nobody.
    struct stat held = {};
    struct stat named = {};
    if (fstat(fd.get(), &held) != 0) return {"fstat of the lock file", errno};
    if (!S_ISREG(held.st_mode)) return {"the lock file is no regular file", EINVAL};
    if (lstat(path.c_str(), &named) == 0 && named.st_dev == held.st_dev && named.st_ino == held.st_ino) {
      *out = std::move(fd);
      return {};
    }
  }
  return {"the lock file keeps being replaced", EAGAIN};
}

// The descriptor lives in the function's data and not in an object that is finalized, so that a lock that is no
// longer referenced stays locked.
napi_value Release(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (!Ok(env, napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data))) return nullptr;
  static_cast<Fd*>(data)->reset();
  return Undefined(env);
}

// lockFile(path)
napi_value LockFile(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  std::string path;
  if (!Ok(env, napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr)) ||
      !GetString(env, argument, "path", PATH_MAX - 1, &path)) {
    return nullptr;
  }
  Fd fd;
  if (const Failure failure = Lock(path, &fd)) return Throw(env, failure);
  if (!fd.open()) return Undefined(env);

  auto held = std::make_unique<Fd>(std::move(fd));
  napi_value object = nullptr;
  napi_value dispose = SymbolDispose(env);
  if (!Ok(env, napi_create_object(env, &object)) ||
      !DefineFunction(env, object, "release", Release, held.get())) {
    return nullptr;
  }
  if (dispose != nullptr) {
    const napi_property_descriptor property = {nullptr, dispose, Release,      nullptr,
                                               nullptr, nullptr, napi_default, held.get()};
    if (!Ok(env, napi_define_properties(env, object, 1, &property))) return nullptr;
  }
  static_cast<void>(held.release());  // eight bytes a lock, until the end of the process
  return object;
}

}  // namespace

bool InitLocks(napi_env env, napi_value exports) { return DefineFunction(env, exports, "lockFile", LockFile); }

}  // namespace holdfast
