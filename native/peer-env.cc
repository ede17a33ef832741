// The shared state of peer-env.h. Its threads and lifetimes:
//
//   watcher's thread  --NotifyLoop-->  thread-safe function  --DispatchExits-->  callback
//
// Node runs clean-up hooks in reverse order. Ours is added after the thread-safe function was made, so the
// thread has ended before Node takes that function down.
#include "peer-env.h"

#include <cerrno>

#include "peer-handle.h"

namespace holdfast {
namespace {

// An operator has one procfs, perhaps one more of the host; more come from no sane configuration.
constexpr size_t kMaxRoots = 8;
// Callbacks per turn of the event loop, so that ten thousand exits at once do not hold it up.
constexpr int kExitsPerTurn = 128;

}  // namespace

PeerEnv::PeerEnv(napi_env environment) : env(environment), watcher(NotifyLoop, this) {}

Failure PeerEnv::Root(const std::string& path, std::shared_ptr<ProcRoot>* out) {
  for (const auto& root : roots_) {
    if (root->path() == path) {
      *out = root;
      return {};
    }
  }
  if (roots_.size() >= kMaxRoots) return {"too many different procRoots", ENFILE};
  if (const Failure failure = ProcRoot::Open(path, out)) return failure;
  roots_.push_back(*out);
  return {};
}

bool PeerEnv::StartWatching() {
  if (exits_ == nullptr && !MakeExits()) return false;
  if (const Failure failure = watcher.Start()) {
    Throw(env, failure);
    return false;
  }
  return true;
}

bool PeerEnv::MakeExits() {
  napi_value name = nullptr;
  if (!Ok(env, napi_create_string_utf8(env, "holdfast:exits", NAPI_AUTO_LENGTH, &name))) return false;
  // No queue limit is needed: a call is only made when the one before was served.
  napi_threadsafe_function made = nullptr;
  if (!Ok(env, napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                               DispatchExits, &made))) {
    return false;
  }
  // Without reference it does not keep the event loop alive.
  if (!Ok(env, napi_unref_threadsafe_function(env, made)) || !Ok(env, napi_add_env_cleanup_hook(env, CleanUp, this))) {
    napi_release_threadsafe_function(made, napi_tsfn_abort);
    return false;
  }
  exits_ = made;
  return true;
}

uint64_t PeerEnv::Register(PeerHandle* handle) {
  watched.emplace(next_id_, handle);
  return next_id_++;
}

void PeerEnv::NotifyLoop(void* self) {
  napi_call_threadsafe_function(static_cast<PeerEnv*>(self)->exits_, nullptr, napi_tsfn_nonblocking);
}

void PeerEnv::DispatchExits(napi_env env, napi_value, void* self, void*) {
  if (env == nullptr) return;  // the environment is being taken down
  auto* peers = static_cast<PeerEnv*>(self);
  uint64_t id = 0;
  for (int i = 0; i < kExitsPerTurn; i++) {
    if (!peers->watcher.TakeExit(&id)) return;
    const auto found = peers->watched.find(id);
    if (found == peers->watched.end()) continue;
    // May close handles, this one too, and so change `watched`.
    if (!found->second->FireExit(env)) return;
  }
  NotifyLoop(self);
}

void PeerEnv::CleanUp(void* self) {
  auto* peers = static_cast<PeerEnv*>(self);
  peers->watcher.Stop();
  napi_release_threadsafe_function(peers->exits_, napi_tsfn_abort);
}

}  // namespace holdfast
