// Who is at the other end of an accepted Unix socket: SO_PEERCRED, SO_PEERGROUPS, and a handle on the process.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <climits>

#include "common.h"
#include "peer-env.h"
#include "peer-handle.h"

#ifndef SO_PEERPIDFD  // headers older than Linux 6.5
#define SO_PEERPIDFD 77
#endif

namespace holdfast {
namespace {

// A process may have 65536; each connection would then cost us milliseconds.
constexpr size_t kMaxGroups = 4096;

enum class Force { kNone, kPidfdOpen, kStartTime };

Failure ReadCredentials(int fd, ucred* out) {
  int domain = 0;
  socklen_t length = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return {"getsockopt SO_DOMAIN", errno};
  int listening = 0;
  length = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0) {
    return {"getsockopt SO_ACCEPTCONN", errno};
  }
  // A listening socket would give our own credentials.
  if (domain != AF_UNIX || listening != 0) return {"not a connected Unix socket", EINVAL};
  length = sizeof *out;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &length) != 0) return {"getsockopt SO_PEERCRED", errno};
  constexpr auto kNobody = static_cast<uid_t>(-1);
  if (out->uid == kNobody || out->gid == kNobody) return {"the socket has no peer", ENOTCONN};
  if (out->pid <= 0) {
    return {"the peer is in a pid namespace that is not visible from ours; run the agent in the host's (hostPID)", 0,
            "ERR_PEER_PID_NAMESPACE"};
  }
  return {};
}

Failure ReadGroups(int fd, std::vector<gid_t>* out) {
  out->resize(64);
  while (true) {
    socklen_t length = static_cast<socklen_t>(out->size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, out->data(), &length) == 0) {
      out->resize(length / sizeof(gid_t));
      return {};
    }
    const size_t needed = length / sizeof(gid_t);
    if (errno != ERANGE || needed <= out->size()) return {"getsockopt SO_PEERGROUPS", errno};
    if (needed > kMaxGroups) return {"the peer has too many groups", E2BIG};
    out->resize(needed);
  }
}

// The fallbacks: the folder of /proc, the start time in it, and that it belongs to the user who connected. Whoever
// got the pid between connect and now is told apart only by the user; from here on nothing can be confused.
Failure OpenChecked(const std::shared_ptr<ProcRoot>& root, const ucred& peer, ProcFolder* folder,
                    uint64_t* start_time) {
  if (const Failure failure = ProcFolder::Open(root, peer.pid, folder)) return failure;
  if (const Failure failure = folder->StartTime(start_time)) return failure;
  return folder->CheckOwner(peer.uid);
}

Failure MakeHandle(int fd, const ucred& peer, Force force, const std::shared_ptr<PeerEnv>& peers,
                   const std::shared_ptr<ProcRoot>& root, std::unique_ptr<PeerHandle>* out) {
  if (force == Force::kNone) {
    int pidfd = -1;
    socklen_t length = sizeof pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0) {
      *out = std::make_unique<PeerHandle>(peers, PeerKind::kPeerPidfd, peer.pid, root, Fd(pidfd));
      return {};
    }
    // Only a kernel that does not know the option may be asked in a weaker way.
    if (errno != ENOPROTOOPT) return {"getsockopt SO_PEERPIDFD", errno};
  }

  ProcFolder folder;
  uint64_t start_time = 0;
  if (const Failure failure = OpenChecked(root, peer, &folder, &start_time)) return failure;
  if (force != Force::kStartTime) {
    Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
    // Seccomp filters that do not know the call say EPERM.
    const bool unknown = !pidfd.open() && (errno == ENOSYS || errno == EPERM);
    if (!pidfd.open() && (!unknown || force == Force::kPidfdOpen)) return {"pidfd_open", errno};
    if (pidfd.open()) {
      // Still the process of the folder, so the number was its own when the pidfd was opened.
      if (!StillRuns(folder.fd(), start_time)) return {"the process has exited", ESRCH};
      *out = std::make_unique<PeerHandle>(peers, PeerKind::kPidfdOpen, peer.pid, root, std::move(pidfd));
      return {};
    }
  }
  *out = std::make_unique<PeerHandle>(peers, peer.pid, root, std::move(folder), start_time);
  return {};
}

// Reads a property and tells whether it is defined; false with an exception pending on failure.
bool GetProperty(napi_env env, napi_value object, const char* name, napi_value* value, bool* defined) {
  napi_valuetype type = napi_undefined;
  if (!Ok(env, napi_get_named_property(env, object, name, value)) || !Ok(env, napi_typeof(env, *value, &type))) {
    return false;
  }
  *defined = type != napi_undefined;
  return true;
}

bool GetOptions(napi_env env, napi_value options, Force* force, std::string* proc_root) {
  napi_valuetype type = napi_undefined;
  if (!Ok(env, napi_typeof(env, options, &type))) return false;
  if (type == napi_undefined) return true;
  if (type != napi_object) {
    ThrowType(env, "options must be an object");
    return false;
  }
  napi_value value = nullptr;
  bool defined = false;
  if (!GetProperty(env, options, "procRoot", &value, &defined)) return false;
  if (defined && !GetString(env, value, "procRoot", PATH_MAX - 1, proc_root)) return false;
  if (!GetProperty(env, options, "force", &value, &defined)) return false;
  if (!defined) return true;
  std::string name;
  if (!GetString(env, value, "force", 16, &name)) return false;
  *force = name == "pidfd-open" ? Force::kPidfdOpen : name == "start-time" ? Force::kStartTime : Force::kNone;
  if (*force != Force::kNone) return true;
  Throw(env, {"force must be pidfd-open or start-time", EINVAL});
  return false;
}

napi_value MakeGroups(napi_env env, const std::vector<gid_t>& groups) {
  napi_value array = nullptr;
  if (!Ok(env, napi_create_array_with_length(env, groups.size(), &array))) return nullptr;
  for (size_t i = 0; i < groups.size(); i++) {
    napi_value group = nullptr;
    if (!Ok(env, napi_create_uint32(env, groups[i], &group)) ||
        !Ok(env, napi_set_element(env, array, static_cast<uint32_t>(i), group))) {
      return nullptr;
    }
  }
  return array;
}

// peerCredentials(fd, options?)
napi_value PeerCredentials(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2] = {};
  void* data = nullptr;
  if (!Ok(env, napi_get_cb_info(env, info, &count, arguments, nullptr, &data))) return nullptr;
  const auto& peers = static_cast<AddonData*>(data)->peers;
  int fd = -1;
  Force force = Force::kNone;
  std::string proc_root = "/proc";
  if (!GetInteger(env, arguments[0], "fd", 0, INT_MAX, &fd) ||
      !GetOptions(env, arguments[1], &force, &proc_root)) {
    return nullptr;
  }

  ucred peer = {};
  std::vector<gid_t> groups;
  std::shared_ptr<ProcRoot> root;
  std::unique_ptr<PeerHandle> handle;
  if (const Failure failure = ReadCredentials(fd, &peer)) return Throw(env, failure);
  if (const Failure failure = peers->Root(proc_root, &root)) return Throw(env, failure);
  if (const Failure failure = MakeHandle(fd, peer, force, peers, root, &handle)) return Throw(env, failure);
  if (!handle->Alive()) return Throw(env, {"the peer has exited", ESRCH});
  handle->SetOwner(peer.uid, peer.gid);
  if (const Failure failure = ReadGroups(fd, &groups)) return Throw(env, failure);

  napi_value result = nullptr;
  napi_value group_array = MakeGroups(env, groups);
  if (group_array == nullptr) return nullptr;
  const bool made = Ok(env, napi_create_object(env, &result)) &&
                    SetNumber(env, result, "pid", static_cast<uint32_t>(peer.pid)) &&
                    SetNumber(env, result, "uid", peer.uid) && SetNumber(env, result, "gid", peer.gid) &&
                    Ok(env, napi_set_named_property(env, result, "groups", group_array));
  if (!made) return nullptr;
  napi_value handle_object = PeerHandle::Wrap(env, std::move(handle));
  if (handle_object == nullptr) return nullptr;
  return Ok(env, napi_set_named_property(env, result, "handle", handle_object)) ? result : nullptr;
}

}  // namespace

bool InitPeers(napi_env env, napi_value exports, AddonData* data) {
  data->peers = std::make_shared<PeerEnv>(env);
  return PeerHandle::Define(env, data->peers.get()) &&
         DefineFunction(env, exports, "peerCredentials", PeerCredentials, data);
}

}  // namespace holdfast
