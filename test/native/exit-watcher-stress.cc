// Drives the exit watcher without Node, so that the thread sanitizer, which cannot run Node, sees both threads.
// Prints `done` when every exit was told that had to be.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <vector>

#include "../../native/exit-watcher.h"
#include "../../native/proc-folder.h"

using holdfast::ExitWatcher;
using holdfast::Failure;
using holdfast::Fd;
using holdfast::ProcFolder;
using holdfast::ProcRoot;

namespace {

void Must(const Failure& failure) {
  if (!failure) return;
  fprintf(stderr, "%s: %d\n", failure.what, failure.error);
  exit(1);
}

struct Process {
  pid_t pid = -1;
  uint64_t id = 0;
  Fd pidfd;  // or
  ProcFolder folder;
};

// What the watcher's thread tells, as the addon's thread-safe function would carry it.
std::atomic<int> notified = 0;
void Notify(void*) { notified++; }

Process Spawn(ExitWatcher* watcher, const std::shared_ptr<ProcRoot>& root, uint64_t id) {
  Process process;
  process.id = id;
  process.pid = fork();
  if (process.pid == 0) {
    while (true) pause();
  }
  if (id % 2 == 0) {
    process.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
    Must(watcher->WatchPidfd(id, process.pidfd.get()));
  } else {
    uint64_t start_time = 0;
    Must(ProcFolder::Open(root, process.pid, &process.folder));
    Must(process.folder.StartTime(&start_time));
    Must(watcher->WatchFolder(id, process.folder.fd(), start_time));
  }
  return process;
}

void Unwatch(ExitWatcher* watcher, Process* process) {
  if (process->pidfd.open()) {
    watcher->UnwatchPidfd(process->pidfd.get());
    process->pidfd.reset();
  } else {
    watcher->UnwatchFolder(process->id);
    process->folder.Close();
  }
}

// A third is unwatched before its exit, a third while it is under way, a third after.
void Round(ExitWatcher* watcher, const std::shared_ptr<ProcRoot>& root, uint64_t first_id) {
  std::vector<Process> processes;
  std::set<uint64_t> expected;
  for (uint64_t i = 0; i < 90; i++) {
    processes.push_back(Spawn(watcher, root, first_id + i));
    if (i % 3 == 2) expected.insert(first_id + i);
  }
  for (size_t i = 0; i < processes.size(); i += 3) Unwatch(watcher, &processes[i]);
  for (const Process& process : processes) kill(process.pid, SIGKILL);
  for (size_t i = 1; i < processes.size(); i += 3) Unwatch(watcher, &processes[i]);
  for (const Process& process : processes) waitpid(process.pid, nullptr, 0);

  // While the thread looks and reports, others come and go: here ourselves.
  ProcFolder folder;
  uint64_t start_time = 0;
  Must(ProcFolder::Open(root, getpid(), &folder));
  Must(folder.StartTime(&start_time));
  const uint64_t own_id = first_id + processes.size();
  int served = 0;
  while (!expected.empty()) {
    Must(watcher->WatchFolder(own_id, folder.fd(), start_time));
    watcher->UnwatchFolder(own_id);
    uint64_t id = 0;
    if (served == notified && !watcher->TakeExit(&id)) continue;
    served = notified;
    expected.erase(id);
    while (watcher->TakeExit(&id)) expected.erase(id);
  }
  for (size_t i = 2; i < processes.size(); i += 3) Unwatch(watcher, &processes[i]);
}

}  // namespace

int main() {
  std::shared_ptr<ProcRoot> root;
  Must(ProcRoot::Open("/proc", &root));
  uint64_t id = 1;
  for (int life = 0; life < 2; life++) {
    notified = 0;
    ExitWatcher watcher(Notify, nullptr);
    Must(watcher.Start());
    Must(watcher.Start());
    for (int round = 0; round < 2; round++, id += 91) Round(&watcher, root, id);
    Process left = Spawn(&watcher, root, id++);
    kill(left.pid, SIGKILL);
    watcher.Stop();
    waitpid(left.pid, nullptr, 0);
    Unwatch(&watcher, &left);
  }
  puts("done");
}
