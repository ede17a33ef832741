// The thread of exit-watcher.h.
#include "exit-watcher.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <cerrno>

#include "proc-folder.h"

namespace holdfast {
namespace {

constexpr uint64_t kWakeId = 0;  // ids of processes start at 1
constexpr int64_t kLookEveryMs = 1000;
constexpr size_t kStackSize = 256 * 1024;

int64_t NowMs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

Failure ExitWatcher::Start() {
  if (running_) return {};
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.open()) return {"epoll_create1", errno};
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.open()) return {"eventfd", errno};
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) return {"epoll_ctl", errno};

  // Signals belong to Node's own threads: the new thread inherits a mask without any.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  stop_ = false;
  const int error = pthread_create(&thread_, &attributes, Main, this);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return {"start the exit watcher's thread", error};
  pthread_setname_np(thread_, "holdfast-exit");
  running_ = true;
  return {};
}

void ExitWatcher::Stop() {
  if (!running_) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  Wake();
  pthread_join(thread_, nullptr);
  running_ = false;
}

Failure ExitWatcher::WatchPidfd(uint64_t id, int pidfd) {
  epoll_event event = {};
  // One shot: an exited process stays readable, and would be told again and again until it is unwatched.
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = id;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pidfd, &event) != 0) return {"watch a pidfd", errno};
  return {};
}

Failure ExitWatcher::WatchFolder(uint64_t id, int proc_fd, uint64_t start_time) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = folders_.empty();
    folders_.emplace(id, Folder{proc_fd, start_time});
  }
  if (first) Wake();  // it waits without a time limit while there are none
  return {};
}

void ExitWatcher::UnwatchPidfd(int pidfd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd, nullptr); }

void ExitWatcher::UnwatchFolder(uint64_t id) {
  const std::lock_guard lock(mutex_);
  folders_.erase(id);
}

bool ExitWatcher::TakeExit(uint64_t* id) {
  const std::lock_guard lock(mutex_);
  if (exits_.empty()) return false;
  *id = exits_.front();
  exits_.pop_front();
  return true;
}

void* ExitWatcher::Main(void* self) {
  static_cast<ExitWatcher*>(self)->Run();
  return nullptr;
}

void ExitWatcher::Run() {
  int64_t next_look = 0;
  while (true) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_.get(), events, 64, MillisecondsToLook(next_look));
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 != kWakeId) {
        Report(events[i].data.u64);
        continue;
      }
      uint64_t ignored = 0;
      if (read(wake_.get(), &ignored, sizeof ignored) < 0 && errno != EAGAIN) return;
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    if (NowMs() >= next_look) {
      LookAtFolders();
      next_look = NowMs() + kLookEveryMs;
    }
  }
}

// How long to wait for pidfds: until the next look at the folders, or for ever (-1) when there are none.
int ExitWatcher::MillisecondsToLook(int64_t next_look) {
  const std::lock_guard lock(mutex_);
  if (folders_.empty()) return -1;
  const int64_t left = next_look - NowMs();
  return left > 0 ? static_cast<int>(left) : 0;
}

// Takes the lock for one process at a time, so that the other thread never waits for more than one read.
void ExitWatcher::LookAtFolders() {
  uint64_t last = 0;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      const auto next = folders_.upper_bound(last);
      if (stop_ || next == folders_.end()) return;
      last = next->first;
      if (StillRuns(next->second.proc_fd, next->second.start_time)) continue;
      folders_.erase(next);
    }
    Report(last);
  }
}

void ExitWatcher::Report(uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    exits_.push_back(id);
    if (exits_.size() > 1) return;  // those are still to be taken, and this one with them
  }
  notify_(context_);
}

void ExitWatcher::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the thread is about to wake anyway.
  if (write(wake_.get(), &one, sizeof one) < 0) return;
}

}  // namespace holdfast
