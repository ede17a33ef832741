// What a daemon does to its own process: notify the service manager, take its sockets, no core dumps, more open files, umask.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <climits>
#include <cmath>
#include <cstring>

#include "common.h"

namespace holdfast {
namespace {

constexpr size_t kMaxState = 4096;
constexpr timeval kNotifyTimeout = {0, 250'000};

// The address of NOTIFY_SOCKET, by the rules of sd_notify(3).
Failure NotifyAddress(const std::string& path, sockaddr_un* address, socklen_t* length) {
  if (path.size() < 2 || (path[0] != '/' && path[0] != '@')) return {"notify socket must start with / or @", EINVAL};
  const bool abstract = path[0] == '@';
  // A path needs its closing NUL, an abstract name has none.
  if (path.size() + (abstract ? 0 : 1) > sizeof address->sun_path) return {"notify socket", ENAMETOOLONG};
  *address = {};
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path.data(), path.size());
  if (abstract) address->sun_path[0] = '\0';
  *length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  return {};
}

Failure Notify(const std::string& path, const std::string& state) {
  sockaddr_un address;
  socklen_t length = 0;
  if (const Failure failure = NotifyAddress(path, &address, &length)) return failure;
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.open()) return {"open the notify socket", errno};
  // A full queue of the service manager must not stop the event loop for long.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kNotifyTimeout, sizeof kNotifyTimeout) != 0) {
    return {"set the time limit of the notify socket", errno};
  }
  ssize_t sent = 0;
  do {
    sent = sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), length);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return {"send to the notify socket", errno};
  return {};
}

bool GetArguments(napi_env env, napi_callback_info info, size_t count, napi_value* arguments) {
  return Ok(env, napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr));
}

// sdNotify(socketPath, state)
napi_value SdNotify(napi_env env, napi_callback_info info) {
  napi_value arguments[2] = {};
  std::string path;
  std::string state;
  if (!GetArguments(env, info, 2, arguments) || !GetString(env, arguments[0], "socketPath", 256, &path) ||
      !GetString(env, arguments[1], "state", kMaxState, &state)) {
    return nullptr;
  }
  if (state.empty()) return Throw(env, {"state is empty", EINVAL});
  if (const Failure failure = Notify(path, state)) return Throw(env, failure);
  return Undefined(env);
}

// A listening Unix stream socket that whoever started us has left open, kept from programs that we start: where it is.
Failure ListeningPath(int fd, std::string* path) {
  constexpr Failure kOther = {"not a listening Unix stream socket", EINVAL};
  for (const auto& [option, wanted] :
       {std::pair{SO_DOMAIN, AF_UNIX}, std::pair{SO_TYPE, int{SOCK_STREAM}}, std::pair{SO_ACCEPTCONN, 1}}) {
    int found = 0;
    socklen_t length = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, option, &found, &length) != 0) {
      if (errno == ENOTSOCK || errno == ENOPROTOOPT) return kOther;
      return {"getsockopt", errno};
    }
    if (found != wanted) return kOther;
  }
  sockaddr_un address = {};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {"getsockname", errno};
  const size_t size = length - offsetof(sockaddr_un, sun_path);
  if (size == 0 || size > sizeof address.sun_path) return kOther;
  if (address.sun_path[0] == '\0') {
    // An abstract name may hold zeros; it is told as systemd writes it.
    path->assign(address.sun_path, size);
    path->front() = '@';
  } else {
    path->assign(address.sun_path, strnlen(address.sun_path, size));
  }
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return {"fcntl F_SETFD", errno};
  return {};
}

// listeningPath(fd)
napi_value ListeningPath(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  int fd = 0;
  if (!GetArguments(env, info, 1, &argument) || !GetInteger(env, argument, "fd", 0, INT_MAX, &fd)) return nullptr;
  std::string path;
  if (const Failure failure = ListeningPath(fd, &path)) return Throw(env, failure);
  napi_value text = nullptr;
  return Ok(env, napi_create_string_utf8(env, path.data(), path.size(), &text)) ? text : nullptr;
}

// setDumpable(on)
napi_value SetDumpable(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  bool on = false;
  if (!GetArguments(env, info, 1, &argument) || !GetBoolean(env, argument, "on", &on)) return nullptr;
  if (prctl(PR_SET_DUMPABLE, on ? 1UL : 0UL, 0UL, 0UL, 0UL) != 0) return Throw(env, {"prctl PR_SET_DUMPABLE", errno});
  return Undefined(env);
}

// disableCoreDumps()
napi_value DisableCoreDumps(napi_env env, napi_callback_info) {
  const rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return Throw(env, {"setrlimit RLIMIT_CORE", errno});
  return Undefined(env);
}

bool SetLimit(napi_env env, napi_value object, const char* name, rlim_t limit) {
  napi_value value = nullptr;
  const double number = limit == RLIM_INFINITY ? INFINITY : static_cast<double>(limit);
  return Ok(env, napi_create_double(env, number, &value)) && Ok(env, napi_set_named_property(env, object, name, value));
}

// raiseFileLimit()
napi_value RaiseFileLimit(napi_env env, napi_callback_info) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Throw(env, {"getrlimit RLIMIT_NOFILE", errno});
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return Throw(env, {"setrlimit RLIMIT_NOFILE", errno});
  }
  napi_value object = nullptr;
  const bool made = Ok(env, napi_create_object(env, &object)) && SetLimit(env, object, "soft", limit.rlim_cur) &&
                    SetLimit(env, object, "hard", limit.rlim_max);
  return made ? object : nullptr;
}

// setUmask(mask)
napi_value SetUmask(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  napi_value before = nullptr;
  int mask = 0;
  if (!GetArguments(env, info, 1, &argument) || !GetInteger(env, argument, "mask", 0, 0777, &mask)) return nullptr;
  return Ok(env, napi_create_uint32(env, umask(static_cast<mode_t>(mask)), &before)) ? before : nullptr;
}

}  // namespace

bool InitProcess(napi_env env, napi_value exports) {
  return DefineFunction(env, exports, "sdNotify", SdNotify) &&
         DefineFunction(env, exports, "listeningPath", ListeningPath) &&
         DefineFunction(env, exports, "setDumpable", SetDumpable) &&
         DefineFunction(env, exports, "disableCoreDumps", DisableCoreDumps) &&
         DefineFunction(env, exports, "raiseFileLimit", RaiseFileLimit) &&
         DefineFunction(env, exports, "setUmask", SetUmask);
}

}  // namespace holdfast
