// The JavaScript class of peer-handle.h: how an object comes to be, finds its handle, and goes.
#include "peer-handle.h"

#include <utility>

namespace holdfast {

template <napi_value (PeerHandle::*method)(napi_env, napi_value)>
napi_value PeerHandle::Call(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;  // undefined when there is none
  napi_value self = nullptr;
  void* handle = nullptr;
  if (!Ok(env, napi_get_cb_info(env, info, &count, &argument, &self, nullptr))) return nullptr;
  if (napi_unwrap(env, self, &handle) != napi_ok) return ThrowType(env, "not a PeerHandle");
  return (static_cast<PeerHandle*>(handle)->*method)(env, argument);
}

napi_value PeerHandle::Construct(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  void* data = nullptr;
  if (!Ok(env, napi_get_cb_info(env, info, nullptr, nullptr, &self, &data))) return nullptr;
  auto* peers = static_cast<PeerEnv*>(data);
  PeerHandle* handle = std::exchange(peers->nascent, nullptr);
  if (handle == nullptr) return ThrowType(env, "a PeerHandle comes from peerCredentials only");
  if (!Ok(env, napi_wrap(env, self, handle, Finalize, nullptr, &handle->self_))) {
    peers->nascent = handle;  // not taken
    return nullptr;
  }
  return self;
}

void PeerHandle::Finalize(napi_env env, void* pointer, void*) {
  auto* handle = static_cast<PeerHandle*>(pointer);
  handle->CloseAll(env);
  napi_delete_reference(env, handle->self_);
  delete handle;
}

napi_value PeerHandle::Wrap(napi_env env, std::unique_ptr<PeerHandle> handle) {
  PeerEnv* peers = handle->peers_.get();
  napi_value constructor = nullptr;
  napi_value object = nullptr;
  if (!Ok(env, napi_get_reference_value(env, peers->constructor, &constructor))) return nullptr;
  peers->nascent = handle.get();
  const napi_status status = napi_new_instance(env, constructor, 0, nullptr, &object);
  const bool taken = std::exchange(peers->nascent, nullptr) == nullptr;
  if (taken) static_cast<void>(handle.release());
  return Ok(env, status) ? object : nullptr;
}

bool PeerHandle::Define(napi_env env, PeerEnv* peers) {
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name, nullptr, callback, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor kind = {"kind",  nullptr, nullptr,         Call<&PeerHandle::Kind>,
                                         nullptr, nullptr, napi_enumerable, nullptr};
  napi_property_descriptor dispose = method(nullptr, Call<&PeerHandle::Close>);
  dispose.name = SymbolDispose(env);
  const napi_property_descriptor properties[] = {
      kind,
      method("isAlive", Call<&PeerHandle::IsAlive>),
      method("onExit", Call<&PeerHandle::OnExit>),
      method("owner", Call<&PeerHandle::ReadOwner>),
      method("executable", Call<&PeerHandle::ReadExecutable>),
      method("rememberExecutable", Call<&PeerHandle::RememberExecutable>),
      method("isUnchanged", Call<&PeerHandle::IsUnchanged>),
      method("openExecutable", Call<&PeerHandle::OpenExecutable>),
      method("readProc", Call<&PeerHandle::ReadProc>),
      method("releaseProc", Call<&PeerHandle::ReleaseProc>),
      method("close", Call<&PeerHandle::Close>),
      dispose,
  };
  const size_t count = sizeof properties / sizeof properties[0] - (dispose.name == nullptr ? 1 : 0);
  napi_value constructor = nullptr;
  return Ok(env, napi_define_class(env, "PeerHandle", NAPI_AUTO_LENGTH, Construct, peers, count, properties,
                                   &constructor)) &&
         Ok(env, napi_create_reference(env, constructor, 1, &peers->constructor));
}

}  // namespace holdfast
