// Entry of the addon: makes the data of one JavaScript environment and lets each part add its functions.
#include "common.h"

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  auto* data = new holdfast::AddonData();
  const auto finalize = [](napi_env, void* pointer, void*) { delete static_cast<holdfast::AddonData*>(pointer); };
  if (!holdfast::Ok(env, napi_set_instance_data(env, data, finalize, nullptr))) {
    delete data;
    return nullptr;
  }
  const bool ready = holdfast::InitPeers(env, exports, data) && holdfast::InitLocks(env, exports) &&
                     holdfast::InitProcess(env, exports) && holdfast::InitTpm(env, exports, data);
  return ready ? exports : nullptr;
}
