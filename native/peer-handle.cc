// What a peer handle does: the process, and the methods that JavaScript calls.
#include "peer-handle.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "open-executable.h"

namespace holdfast {
namespace {

constexpr size_t kReadLimit = 64 * 1024;
// A Kubernetes node has thousands of mounts.
constexpr size_t kMountinfoLimit = 1024 * 1024;

constexpr Failure kClosed = {"the peer handle is closed", EBADF};

bool SetBigint(napi_env env, napi_value object, const char* name, __int128 value) {
  const auto magnitude = static_cast<unsigned __int128>(value < 0 ? -value : value);
  const uint64_t words[2] = {static_cast<uint64_t>(magnitude), static_cast<uint64_t>(magnitude >> 64)};
  napi_value number = nullptr;
  return Ok(env, napi_create_bigint_words(env, value < 0 ? 1 : 0, 2, words, &number)) &&
         Ok(env, napi_set_named_property(env, object, name, number));
}

}  // namespace

bool PidfdAlive(int pidfd) {
  pollfd poll_fd = {pidfd, POLLIN, 0};
  int count = 0;
  do {
    count = poll(&poll_fd, 1, 0);
  } while (count < 0 && errno == EINTR);
  return count == 0;  // an error counts as exited
}

PeerHandle::PeerHandle(std::shared_ptr<PeerEnv> peers, PeerKind kind, pid_t pid, std::shared_ptr<ProcRoot> root,
                       Fd pidfd)
    : peers_(std::move(peers)), root_(std::move(root)), kind_(kind), pid_(pid), pidfd_(std::move(pidfd)) {}

PeerHandle::PeerHandle(std::shared_ptr<PeerEnv> peers, pid_t pid, std::shared_ptr<ProcRoot> root, ProcFolder folder,
                       uint64_t start_time)
    : peers_(std::move(peers)),
      root_(std::move(root)),
      kind_(PeerKind::kStartTime),
      pid_(pid),
      folder_(std::move(folder)),
      start_time_(start_time) {}

// --- the process ---

bool PeerHandle::Alive() const {
  if (closed_) return false;
  return kind_ == PeerKind::kStartTime ? StillRuns(folder_.fd(), start_time_) : PidfdAlive(pidfd_.get());
}

Failure PeerHandle::NeedFolder() {
  if (closed_) return kClosed;
  if (folder_.open()) return {};
  if (const Failure failure = ProcFolder::Open(root_, pid_, &folder_)) return failure;
  // A pid belongs to one process until that has exited: alive after the folder was opened, it is the peer's.
  if (PidfdAlive(pidfd_.get())) return {};
  folder_.Close();
  return {"the process has exited", ESRCH};
}

bool PeerHandle::MatchesMemory() const {
  uid_t uid = 0;
  gid_t gid = 0;
  if (folder_.Owner(&uid, &gid) || uid != uid_ || gid != gid_) return false;
  FileId now;
  const Failure failure = folder_.IdentifyExecutable(&now);
  if (failure) return failure.error == EACCES && memory_ == Memory::kHidden;
  return memory_ == Memory::kFile && now == executed_;
}

void PeerHandle::Unwatch(napi_env env) {
  if (watch_id_ == 0) return;
  peers_->watched.erase(watch_id_);
  if (kind_ == PeerKind::kStartTime) {
    peers_->watcher.UnwatchFolder(watch_id_);
  } else {
    peers_->watcher.UnwatchPidfd(pidfd_.get());
  }
  watch_id_ = 0;
  napi_delete_reference(env, callback_);
  callback_ = nullptr;
  napi_reference_unref(env, self_, nullptr);
}

void PeerHandle::CloseAll(napi_env env) {
  Unwatch(env);  // before its descriptor goes
  closed_ = true;
  folder_.Close();
  pidfd_.reset();
}

bool PeerHandle::FireExit(napi_env env) {
  napi_handle_scope scope = nullptr;
  napi_value callback = nullptr;
  napi_value self = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  // `self` keeps this alive on the stack, for Unwatch lets go of it.
  const bool ready = napi_get_reference_value(env, callback_, &callback) == napi_ok &&
                     napi_get_reference_value(env, self_, &self) == napi_ok;
  Unwatch(env);
  napi_status status = ready ? napi_ok : napi_generic_failure;
  if (ready) {
    napi_value receiver = nullptr;
    napi_get_undefined(env, &receiver);
    status = napi_call_function(env, receiver, callback, 0, nullptr, nullptr);
    napi_value error = nullptr;
    if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok) {
      status = napi_fatal_exception(env, error);  // as an exception in a timer: `uncaughtException`
    }
  }
  napi_close_handle_scope(env, scope);
  return status == napi_ok;
}

// --- the methods ---

napi_value PeerHandle::Kind(napi_env env, napi_value) {
  const char* name = kind_ == PeerKind::kPeerPidfd   ? "peer-pidfd"
                     : kind_ == PeerKind::kPidfdOpen ? "pidfd-open"
                                                     : "start-time";
  napi_value value = nullptr;
  return Ok(env, napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &value)) ? value : nullptr;
}

napi_value PeerHandle::IsAlive(napi_env env, napi_value) {
  napi_value value = nullptr;
  return Ok(env, napi_get_boolean(env, Alive(), &value)) ? value : nullptr;
}

napi_value PeerHandle::OnExit(napi_env env, napi_value callback) {
  napi_valuetype type = napi_undefined;
  if (!Ok(env, napi_typeof(env, callback, &type))) return nullptr;
  if (type != napi_function) return ThrowType(env, "callback must be a function");
  if (closed_) return Throw(env, kClosed);
  if (asked_for_exit_) return Throw(env, {"onExit takes one callback", EALREADY});
  if (!peers_->StartWatching()) return nullptr;
  if (!Ok(env, napi_create_reference(env, callback, 1, &callback_))) return nullptr;
  if (!Ok(env, napi_reference_ref(env, self_, nullptr))) {
    napi_delete_reference(env, callback_);
    return nullptr;
  }
  watch_id_ = peers_->Register(this);
  const Failure failure = kind_ == PeerKind::kStartTime
                              ? peers_->watcher.WatchFolder(watch_id_, folder_.fd(), start_time_)
                              : peers_->watcher.WatchPidfd(watch_id_, pidfd_.get());
  if (failure) {
    Unwatch(env);
    return Throw(env, failure);
  }
  asked_for_exit_ = true;
  return Undefined(env);
}

napi_value PeerHandle::ReadOwner(napi_env env, napi_value) {
  if (const Failure failure = NeedFolder()) return Throw(env, failure);
  uid_t uid = 0;
  gid_t gid = 0;
  if (const Failure failure = folder_.Owner(&uid, &gid)) return Throw(env, failure);
  // Of a process that has exited meanwhile the kernel says root.
  if (!Alive()) return Throw(env, {"the process has exited", ESRCH});
  napi_value object = nullptr;
  const bool made = Ok(env, napi_create_object(env, &object)) && SetNumber(env, object, "uid", uid) &&
                    SetNumber(env, object, "gid", gid);
  return made ? object : nullptr;
}

napi_value PeerHandle::ReadExecutable(napi_env env, napi_value) {
  if (const Failure failure = NeedFolder()) return Throw(env, failure);
  Executable executable;
  if (const Failure failure = folder_.ReadExecutable(&executable)) return Throw(env, failure);
  napi_value object = nullptr;
  napi_value path = nullptr;
  const bool made =
      Ok(env, napi_create_object(env, &object)) && SetBigint(env, object, "device", executable.device) &&
      SetBigint(env, object, "inode", executable.inode) && SetBigint(env, object, "size", executable.size) &&
      SetBigint(env, object, "mtimeNs", executable.mtime_ns) &&
      SetBigint(env, object, "ctimeNs", executable.ctime_ns) &&
      Ok(env, napi_create_string_utf8(env, executable.path.data(), executable.path.size(), &path)) &&
      Ok(env, napi_set_named_property(env, object, "path", path));
  return made ? object : nullptr;
}

napi_value PeerHandle::RememberExecutable(napi_env env, napi_value) {
  memory_ = Memory::kNone;
  if (const Failure failure = NeedFolder()) return Throw(env, failure);
  const Failure failure = folder_.IdentifyExecutable(&executed_);
  if (failure && failure.error != EACCES) return Throw(env, failure);
  memory_ = failure ? Memory::kHidden : Memory::kFile;
  napi_value value = nullptr;
  return Ok(env, napi_get_boolean(env, memory_ == Memory::kFile, &value)) ? value : nullptr;
}

napi_value PeerHandle::IsUnchanged(napi_env env, napi_value) {
  const bool was_open = folder_.open();
  bool unchanged = false;
  if (!closed_ && memory_ != Memory::kNone && (was_open || !ProcFolder::Open(root_, pid_, &folder_))) {
    // Alive after all was read: so the folder, too, was the peer's when it was opened.
    unchanged = MatchesMemory() && Alive();
  }
  if (!was_open) folder_.Close();
  napi_value value = nullptr;
  return Ok(env, napi_get_boolean(env, unchanged, &value)) ? value : nullptr;
}

napi_value PeerHandle::OpenExecutable(napi_env env, napi_value) {
  Failure failure = NeedFolder();
  Fd folder;
  if (!failure) {
    // A duplicate, because close() may come while the open is under way.
    folder.reset(fcntl(folder_.fd(), F_DUPFD_CLOEXEC, 3));
    if (!folder.open()) failure = {"dup of /proc/<pid>", errno};
  }
  return OpenExecutableAsync(env, failure, std::move(folder));
}

napi_value PeerHandle::ReadProc(napi_env env, napi_value name) {
  std::string wanted;
  if (!GetString(env, name, "name", 16, &wanted)) return nullptr;
  const bool known = wanted == "status" || wanted == "stat" || wanted == "cgroup" || wanted == "mountinfo";
  if (!known) return Throw(env, {"readProc reads status, stat, cgroup and mountinfo", EINVAL});
  if (const Failure failure = NeedFolder()) return Throw(env, failure);
  std::string content;
  const size_t limit = wanted == "mountinfo" ? kMountinfoLimit : kReadLimit;
  if (const Failure failure = folder_.Read(wanted.c_str(), limit, &content)) return Throw(env, failure);
  napi_value buffer = nullptr;
  const napi_status status = napi_create_buffer_copy(env, content.size(), content.data(), nullptr, &buffer);
  return Ok(env, status) ? buffer : nullptr;
}

napi_value PeerHandle::ReleaseProc(napi_env env, napi_value) {
  if (kind_ != PeerKind::kStartTime) folder_.Close();
  return Undefined(env);
}

napi_value PeerHandle::Close(napi_env env, napi_value) {
  CloseAll(env);
  return Undefined(env);
}

}  // namespace holdfast
