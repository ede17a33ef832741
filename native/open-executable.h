// Opens a process's executable on Node's thread pool: that file's file system may be slow, or hostile.
#pragma once

#include "common.h"

namespace holdfast {

// Returns a promise of a file descriptor. `failure` rejects it; else `folder` is a duplicate of the process's
// folder in /proc. nullptr with an exception pending if there is no promise.
napi_value OpenExecutableAsync(napi_env env, const Failure& failure, Fd folder);

}  // namespace holdfast
