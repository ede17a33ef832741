// What peer handles of one JavaScript environment share: the class, the opened procfs mounts, and the way of an
// exit from the watcher's thread to a callback on the event loop.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common.h"
#include "exit-watcher.h"
#include "proc-folder.h"

namespace holdfast {

class PeerHandle;

// Lives as long as the addon's data or any handle. All but the watcher's thread is on the JavaScript thread.
struct PeerEnv {
  explicit PeerEnv(napi_env environment);

  // Opens a procfs once and keeps it.
  Failure Root(const std::string& path, std::shared_ptr<ProcRoot>* out);

  // Starts what exits need, at the first use. Throws and returns false if it cannot.
  bool StartWatching();
  // Has `handle` told of its process's exit once, under the id that this returns.
  uint64_t Register(PeerHandle* handle);

  const napi_env env;
  napi_ref constructor = nullptr;
  // What the class's constructor wraps: set only while we make an instance, so that scripts cannot make one.
  PeerHandle* nascent = nullptr;
  ExitWatcher watcher;
  // By id, so that an exit that comes after its handle was closed or freed finds nothing.
  std::unordered_map<uint64_t, PeerHandle*> watched;

 private:
  bool MakeExits();
  static void NotifyLoop(void* self);
  static void DispatchExits(napi_env env, napi_value, void* self, void*);
  static void CleanUp(void* self);

  std::vector<std::shared_ptr<ProcRoot>> roots_;
  napi_threadsafe_function exits_ = nullptr;
  uint64_t next_id_ = 1;
};

}  // namespace holdfast
