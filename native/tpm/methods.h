// The methods of a TPM's JavaScript object.
#pragma once

#include "job.h"

namespace holdfast {

// Makes the object of an open TPM; nullptr with an exception pending on failure.
napi_value WrapTpm(napi_env env, const std::shared_ptr<TpmHandle>& handle);

}  // namespace holdfast
