// Tells when processes exit: one thread that waits for pidfds, and looks once a second at those without one.
// Knows nothing of JavaScript; its user names each process by a number that is never used again.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>

#include "common.h"

namespace holdfast {

class ExitWatcher {
 public:
  // `notify` is called on the watcher's thread when exits are there to take and none were before.
  using Notify = void (*)(void* context);
  ExitWatcher(Notify notify, void* context) : notify_(notify), context_(context) {}
  ~ExitWatcher() { Stop(); }
  ExitWatcher(const ExitWatcher&) = delete;
  ExitWatcher& operator=(const ExitWatcher&) = delete;

  // Starts the thread; no effect when it runs. All but the thread itself is called from one other thread.
  Failure Start();
  // Ends the thread and waits for that; `notify` is not called after. No effect when it does not run.
  void Stop();

  // Both end with an exit or with Unwatch, which must come before the descriptor is closed.
  Failure WatchPidfd(uint64_t id, int pidfd);
  Failure WatchFolder(uint64_t id, int proc_fd, uint64_t start_time);
  void UnwatchPidfd(int pidfd);
  void UnwatchFolder(uint64_t id);

  // Takes one exit. May give an id that was unwatched meanwhile.
  bool TakeExit(uint64_t* id);

 private:
  struct Folder {
    int proc_fd;
    uint64_t start_time;
  };
  static void* Main(void* self);
  void Run();
  int MillisecondsToLook(int64_t next_look);
  void LookAtFolders();
  void Report(uint64_t id);
  void Wake();

  const Notify notify_;
  void* const context_;
  bool running_ = false;
  pthread_t thread_ = {};
  Fd epoll_;
  Fd wake_;

  std::mutex mutex_;  // guards all below, and that no folder is closed while the thread looks into it
  bool stop_ = false;
  std::map<uint64_t, Folder> folders_;
  std::deque<uint64_t> exits_;
};

}  // namespace holdfast
