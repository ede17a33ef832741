// The JavaScript class PeerHandle: follows one process, and reads of that process only.
#pragma once

#include <sys/types.h>

#include <memory>

#include "peer-env.h"

namespace holdfast {

enum class PeerKind { kPeerPidfd, kPidfdOpen, kStartTime };

// True while the process of `pidfd` has not exited.
bool PidfdAlive(int pidfd);

class PeerHandle {
 public:
  // Defines the class; false with an exception pending on failure.
  static bool Define(napi_env env, PeerEnv* peers);

  // A handle by pidfd; it opens /proc/<pid> when it first reads there.
  PeerHandle(std::shared_ptr<PeerEnv> peers, PeerKind kind, pid_t pid, std::shared_ptr<ProcRoot> root, Fd pidfd);
  // A handle by start time; it lives by its folder.
  PeerHandle(std::shared_ptr<PeerEnv> peers, pid_t pid, std::shared_ptr<ProcRoot> root, ProcFolder folder,
             uint64_t start_time);

  bool Alive() const;
  // Sets who connected, for Unchanged.
  void SetOwner(uid_t uid, gid_t gid) {
    uid_ = uid;
    gid_ = gid;
  }
  // Makes the JavaScript object, which owns the handle from then on; nullptr with an exception pending on failure.
  static napi_value Wrap(napi_env env, std::unique_ptr<PeerHandle> handle);
  // Calls the callback of onExit. False if scripts can no longer run.
  bool FireExit(napi_env env);

 private:
  template <napi_value (PeerHandle::*method)(napi_env, napi_value)>
  static napi_value Call(napi_env env, napi_callback_info info);
  static napi_value Construct(napi_env env, napi_callback_info info);
  static void Finalize(napi_env env, void* handle, void*);

  napi_value Kind(napi_env env, napi_value);
  napi_value IsAlive(napi_env env, napi_value);
  napi_value OnExit(napi_env env, napi_value callback);
  napi_value ReadOwner(napi_env env, napi_value);
  napi_value ReadExecutable(napi_env env, napi_value);
  napi_value OpenExecutable(napi_env env, napi_value);
  napi_value RememberExecutable(napi_env env, napi_value);
  napi_value IsUnchanged(napi_env env, napi_value);
  napi_value ReadProc(napi_env env, napi_value name);
  napi_value ReleaseProc(napi_env env, napi_value);
  napi_value Close(napi_env env, napi_value);

  Failure NeedFolder();
  // Whether the process of the open folder is of the owner and executes what is remembered.
  bool MatchesMemory() const;
  // Takes the watch back: no callback after this.
  void Unwatch(napi_env env);
  void CloseAll(napi_env env);

  const std::shared_ptr<PeerEnv> peers_;
  const std::shared_ptr<ProcRoot> root_;
  const PeerKind kind_;
  const pid_t pid_;
  uid_t uid_ = static_cast<uid_t>(-1);  // who connected; by default nobody
  gid_t gid_ = static_cast<gid_t>(-1);
  enum class Memory { kNone, kFile, kHidden } memory_ = Memory::kNone;
  FileId executed_;  // when `memory_` is a file
  bool closed_ = false;
  bool asked_for_exit_ = false;
  Fd pidfd_;                 // of the pidfd kinds
  ProcFolder folder_;        // of the start-time kind always, else while it is needed
  uint64_t start_time_ = 0;  // of the start-time kind
  uint64_t watch_id_ = 0;    // 0: not watched
  napi_ref callback_ = nullptr;
  napi_ref self_ = nullptr;  // strong while watched, else weak
};

}  // namespace holdfast
