// Reads below /proc/<pid> through a held folder, so that a pid that was given to another process is never read.
//
// The kernel ties an open /proc/<pid> folder to the process, not to the number: once that process has been
// reaped, lookups in it fail with ESRCH, also if a new process has the same pid.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "common.h"

namespace holdfast {

// Which file a process executes.
struct Executable {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  __int128 mtime_ns = 0;
  __int128 ctime_ns = 0;
  std::string path;
};

// A file, as long as it exists.
struct FileId {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const FileId&) const = default;
};

// A mounted procfs of our own pid namespace.
class ProcRoot {
 public:
  static Failure Open(const std::string& path, std::shared_ptr<ProcRoot>* out);
  ProcRoot(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

 private:
  const std::string path_;
  const Fd fd_;
};

// True while the process of the folder `proc_fd` runs (no zombie) and started at `start_time`. For any thread.
bool StillRuns(int proc_fd, uint64_t start_time);

// Opens the file that the process of the folder `proc_fd` executes. May wait for a file system.
Failure OpenExecutable(int proc_fd, Fd* out);

// One held /proc/<pid>.
class ProcFolder {
 public:
  static Failure Open(const std::shared_ptr<ProcRoot>& root, pid_t pid, ProcFolder* out);

  bool open() const { return fd_.open(); }
  int fd() const { return fd_.get(); }
  void Close() { fd_.reset(); }

  // Reads a whole file, or fails with EFBIG when it is longer than `limit` bytes.
  Failure Read(const char* name, size_t limit, std::string* out) const;
  // Field 22 of `stat`: clock ticks from boot to the start of the process. ESRCH for a zombie.
  Failure StartTime(uint64_t* out) const;
  // The effective user and group now. Of a process that has gone it says root: ask afterwards whether it runs.
  Failure Owner(uid_t* uid, gid_t* gid) const;
  // EPERM unless `uid` is the real, effective, saved or file system uid of the process.
  Failure CheckOwner(uid_t uid) const;
  // The executed file; asks no file system, so a hanging one cannot hold us up.
  Failure ReadExecutable(Executable* out) const;
  // Only which file that is. EACCES without the right to look.
  Failure IdentifyExecutable(FileId* out) const;

 private:
  std::shared_ptr<ProcRoot> root_;
  Fd fd_;
};

}  // namespace holdfast
