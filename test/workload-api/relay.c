// Connects to a Unix socket and forks. The child relays between it and a second socket, whose other end the test
// holds; the parent, whom the kernel names as the caller, waits for SIGUSR1 and then does what it is told to:
//   relay SOCKET SECOND stay | exit | exec PROGRAM... | become UID
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int dial(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) exit(2);
  strcpy(address.sun_path, path);
  int sock = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(sock, (struct sockaddr *)&address, sizeof address) != 0) {
    perror(path);
    exit(3);
  }
  return sock;
}

static void relay(int a, int b) {
  struct pollfd fds[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
  char buffer[65536];
  while (poll(fds, 2, -1) > 0) {
    for (int i = 0; i < 2; i++) {
      if (!fds[i].revents) continue;
      ssize_t n = read(fds[i].fd, buffer, sizeof buffer);
      if (n <= 0) exit(0);
      for (ssize_t at = 0; at < n;) {
        ssize_t w = write(fds[1 - i].fd, buffer + at, (size_t)(n - at));
        if (w <= 0) exit(0);
        at += w;
      }
    }
  }
  exit(4);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  sigset_t signals;
  int number = 0;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int sock = dial(argv[1]);
  if (fork() == 0) relay(sock, dial(argv[2]));
  close(sock);
  for (;;) {
    sigwait(&signals, &number);
    if (strcmp(argv[3], "exit") == 0) return 0;
    if (strcmp(argv[3], "become") == 0 && setuid((uid_t)atoi(argv[4])) != 0) return 6;
    if (strcmp(argv[3], "exec") == 0) {
      execv(argv[4], argv + 4);
      perror(argv[4]);
      return 5;
    }
  }
}
