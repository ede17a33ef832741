// The reads of proc-folder.h.
#include "proc-folder.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace holdfast {
namespace {

// Enough for `stat` (52 numbers and a name of at most 64 bytes) and for `status` down to the uids.
constexpr size_t kSmallFile = 4096;

// Reads until the end or until `size` bytes; -1 with errno.
ssize_t ReadUpTo(int dir_fd, const char* name, char* buffer, size_t size) {
  const Fd file(openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW));
  if (!file.open()) return -1;
  size_t length = 0;
  while (length < size) {
    const ssize_t got = read(file.get(), buffer + length, size - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  return static_cast<ssize_t>(length);
}

// Parses the state and the start time (fields 3 and 22) of `stat`. Field 2 is the name in parentheses, which
// the process chooses and which may hold parentheses and spaces, hence the last ')'.
bool ParseStat(const char* text, char* state, uint64_t* start_time) {
  const char* at = strrchr(text, ')');
  if (at == nullptr || at[1] != ' ' || at[2] == '\0') return false;
  at += 2;
  *state = *at;
  for (int field = 3; field < 22; field++) {
    at = strchr(at, ' ');
    if (at == nullptr) return false;
    at++;
  }
  if (*at < '0' || *at > '9') return false;
  *start_time = strtoull(at, nullptr, 10);
  return true;
}

Failure ReadStartTime(int proc_fd, uint64_t* out) {
  char text[kSmallFile];
  const ssize_t length = ReadUpTo(proc_fd, "stat", text, sizeof text - 1);
  if (length < 0) return {"read /proc/<pid>/stat", errno};
  text[length] = '\0';
  char state = 0;
  if (!ParseStat(text, &state, out)) return {"parse /proc/<pid>/stat", EBADMSG};
  if (state == 'Z' || state == 'X' || state == 'x') return {"the process has exited", ESRCH};
  return {};
}

// A process that exits loses its executable before it becomes a zombie, and its folder when it is reaped.
Failure ExecutableFailure(const char* what) {
  if (errno == ENOENT || errno == ESRCH) return {"the process has exited", ESRCH};
  return {what, errno};
}

// Finds a line by its name, which starts with a newline and ends with a colon.
const char* FindLine(const char* text, const char* name) {
  const char* at = strstr(text, name);
  return at == nullptr ? nullptr : at + strlen(name);
}

// `status` of ourselves lists one pid per namespace, from that of the mount down to our own. The line stands
// after the groups, which may be many, hence the big buffer.
Failure CheckNamespace(int root_fd) {
  constexpr size_t kLimit = 1 << 20;
  std::string text(kLimit, '\0');
  const ssize_t length = ReadUpTo(root_fd, "self/status", text.data(), text.size());
  if (length < 0) return {"procRoot is a procfs in which this process does not exist", 0, "ERR_PROC_ROOT"};
  if (static_cast<size_t>(length) == kLimit) return {"read status of ourselves", EFBIG};
  text.resize(static_cast<size_t>(length));
  const char* line = FindLine(text.c_str(), "\nNSpid:");
  if (line == nullptr) line = FindLine(text.c_str(), "\nPid:");  // a kernel without pid namespaces
  int pid = 0;
  int inner = 0;
  if (line == nullptr || sscanf(line, "%d%*[ \t]%d", &pid, &inner) != 1 || pid != getpid()) {
    return {"procRoot is a procfs of another pid namespace", 0, "ERR_PROC_ROOT"};
  }
  return {};
}

__int128 Nanoseconds(const statx_timestamp& time) {
  return static_cast<__int128>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Failure ProcRoot::Open(const std::string& path, std::shared_ptr<ProcRoot>* out) {
  Fd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.open()) return {"open procRoot", errno};
  struct statfs info = {};
  if (fstatfs(fd.get(), &info) != 0) return {"statfs of procRoot", errno};
  if (info.f_type != PROC_SUPER_MAGIC) return {"procRoot is no procfs", 0, "ERR_PROC_ROOT"};
  if (const Failure failure = CheckNamespace(fd.get())) return failure;
  *out = std::make_shared<ProcRoot>(path, std::move(fd));
  return {};
}

bool StillRuns(int proc_fd, uint64_t start_time) {
  uint64_t now = 0;
  return !ReadStartTime(proc_fd, &now) && now == start_time;
}

Failure OpenExecutable(int proc_fd, Fd* out) {
  out->reset(openat(proc_fd, "exe", O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!out->open()) return ExecutableFailure("open /proc/<pid>/exe");
  return {};
}

Failure ProcFolder::Open(const std::shared_ptr<ProcRoot>& root, pid_t pid, ProcFolder* out) {
  char name[16];
  snprintf(name, sizeof name, "%d", pid);
  Fd fd(openat(root->fd(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.open()) {
    const int error = errno;
    if (error == ENOENT && kill(pid, 0) != 0 && errno == ESRCH) return {"the process has exited", ESRCH};
    return {"open /proc/<pid> (is procfs mounted with hidepid?)", error};
  }
  out->root_ = root;
  out->fd_ = std::move(fd);
  return {};
}

Failure ProcFolder::Read(const char* name, size_t limit, std::string* out) const {
  // Most are short: they should not cost a big buffer. One byte more than the limit tells a file of just that size
  // from a longer one.
  out->resize(kSmallFile);
  ssize_t length = ReadUpTo(fd(), name, out->data(), out->size());
  if (length == static_cast<ssize_t>(kSmallFile)) {
    out->resize(limit + 1);
    length = ReadUpTo(fd(), name, out->data(), out->size());
  }
  if (length < 0) return {"read a file of /proc/<pid>", errno};
  if (static_cast<size_t>(length) > limit) return {"read a file of /proc/<pid>", EFBIG};
  out->resize(static_cast<size_t>(length));
  return {};
}

Failure ProcFolder::StartTime(uint64_t* out) const { return ReadStartTime(fd(), out); }

Failure ProcFolder::Owner(uid_t* uid, gid_t* gid) const {
  // The folder itself belongs to the effective user also where a process that is not dumpable has files of root's.
  struct stat info = {};
  if (fstat(fd(), &info) != 0) return {"stat /proc/<pid>", errno};
  *uid = info.st_uid;
  *gid = info.st_gid;
  return {};
}

Failure ProcFolder::CheckOwner(uid_t uid) const {
  char text[kSmallFile];
  const ssize_t length = ReadUpTo(fd(), "status", text, sizeof text - 1);
  if (length < 0) return {"read /proc/<pid>/status", errno};
  text[length] = '\0';
  unsigned ids[4];
  const char* line = FindLine(text, "\nUid:");
  if (line == nullptr || sscanf(line, "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) != 4) {
    return {"parse /proc/<pid>/status", EBADMSG};
  }
  for (const unsigned id : ids) {
    if (id == uid) return {};
  }
  return {"the process with the peer's pid is not of the user who connected", EPERM};
}

Failure ProcFolder::ReadExecutable(Executable* out) const {
  // O_PATH pins one file without asking its file system, so that numbers and path are of the same file even if
  // the process executes another one meanwhile.
  const Fd file(openat(fd(), "exe", O_PATH | O_CLOEXEC));
  if (!file.open()) return ExecutableFailure("look up /proc/<pid>/exe");
  struct statx info = {};
  // A user-space or network file system must not be able to hold up the event loop: take what the kernel knows.
  if (statx(file.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &info) != 0) {
    return {"stat /proc/<pid>/exe", errno};
  }
  if ((info.stx_mask & STATX_INO) == 0) return {"stat /proc/<pid>/exe gave no inode", EIO};

  char link[32];
  snprintf(link, sizeof link, "self/fd/%d", file.get());
  char path[PATH_MAX + 1];
  const ssize_t length = readlinkat(root_->fd(), link, path, sizeof path);
  if (length < 0) return {"readlink of the executed file", errno};
  if (static_cast<size_t>(length) == sizeof path) return {"readlink of the executed file", ENAMETOOLONG};

  out->device = makedev(info.stx_dev_major, info.stx_dev_minor);
  out->inode = info.stx_ino;
  out->size = info.stx_size;
  out->mtime_ns = Nanoseconds(info.stx_mtime);
  out->ctime_ns = Nanoseconds(info.stx_ctime);
  out->path.assign(path, static_cast<size_t>(length));
  return {};
}

Failure ProcFolder::IdentifyExecutable(FileId* out) const {
  struct statx info = {};
  // As above: follows the link without asking the file's own file system.
  if (statx(fd(), "exe", AT_STATX_DONT_SYNC, STATX_INO, &info) != 0) return ExecutableFailure("stat /proc/<pid>/exe");
  if ((info.stx_mask & STATX_INO) == 0) return {"stat /proc/<pid>/exe gave no inode", EIO};
  out->device = makedev(info.stx_dev_major, info.stx_dev_minor);
  out->inode = info.stx_ino;
  return {};
}

}  // namespace holdfast
