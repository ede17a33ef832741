// The reads and writes of stream.h.
#include "stream.h"

#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>

#include "address.h"

namespace holdfast {
namespace {

constexpr char kDevice[] = "device:";
constexpr char kSwtpm[] = "swtpm:";
// Tag, size and code: TPM 2.0 Part 1, 18.
constexpr size_t kHeaderSize = 10;
// How long to wait between two attempts to join a full queue of connections.
constexpr int kConnectPause = 10;
constexpr char kConnect[] = "connect to swtpm";

int64_t Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

constexpr Failure kTimeout = {"no answer from the TPM by the deadline", 0, kTpmTimeout};

Failure Gone(int error) { return {"the TPM went away", error, kTpmGone}; }

// Waits until the descriptor can be used that way; a hang-up counts, for the use tells more of it.
Failure WaitFor(int fd, short events, const Deadline& deadline) {
  while (true) {
    const int left = deadline.Left();
    if (left == 0) return kTimeout;
    pollfd poll_fd = {fd, events, 0};
    const int count = poll(&poll_fd, 1, left);
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return Gone(errno);
  }
}

Failure OpenDevice(const std::string& path, Fd* out) {
  if (path.empty()) return {"device: needs a path", EINVAL};
  // The kernel waits for the TPM in a write unless the descriptor is non-blocking (Linux 4.20).
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.open()) return {"open the TPM device", errno};
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return {"fstat of the TPM device", errno};
  if (!S_ISCHR(info.st_mode)) return {"the TPM device is no character device", ENODEV};
  *out = std::move(fd);
  return {};
}

Failure Connect(const SocketAddress& address, const Deadline& deadline, Fd* out) {
  Fd fd(socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.open()) return {"open a socket to swtpm", errno};
  while (connect(fd.get(), &address.any, address.length) != 0) {
    if (errno == EINPROGRESS || errno == EINTR) {
      if (const Failure failure = WaitFor(fd.get(), POLLOUT, deadline)) return failure;
      int error = 0;
      socklen_t length = sizeof error;
      if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return {kConnect, errno};
      if (error != 0) return {kConnect, error};
      break;
    }
    // A Unix socket's queue is full. There is nothing to poll for.
    if (errno != EAGAIN) return {kConnect, errno};
    if (deadline.Left() == 0) return kTimeout;
    SleepFor(kConnectPause, deadline);
  }
  *out = std::move(fd);
  return {};
}

bool Begins(const std::string& text, const char* prefix) { return text.compare(0, strlen(prefix), prefix) == 0; }

}  // namespace

Deadline Deadline::In(int ms) {
  Deadline deadline;
  deadline.at_ = Now() + ms;
  return deadline;
}

int Deadline::Left() const { return static_cast<int>(std::clamp<int64_t>(at_ - Now(), 0, INT_MAX)); }

void SleepFor(int ms, const Deadline& deadline) {
  const Deadline end = Deadline::In(std::min(ms, deadline.Left()));
  while (const int left = end.Left()) poll(nullptr, 0, left);
}

bool TpmStream::Reads(const std::string& name) { return Begins(name, kDevice) || Begins(name, kSwtpm); }

Failure TpmStream::Open(const std::string& name, const Deadline& deadline, TpmStream* out) {
  if (Begins(name, kDevice)) {
    out->socket_ = false;
    return OpenDevice(name.substr(strlen(kDevice)), &out->fd_);
  }
  SocketAddress address;
  if (const Failure failure = ParseSwtpmAddress(name.substr(strlen(kSwtpm)), &address)) return failure;
  out->socket_ = true;
  return Connect(address, deadline, &out->fd_);
}

Failure TpmStream::Write(const uint8_t* command, size_t size, const Deadline& deadline) {
  while (size > 0) {
    if (const Failure failure = WaitFor(fd_.get(), POLLOUT, deadline)) return failure;
    // A device takes a command whole or not at all.
    const ssize_t sent =
        socket_ ? send(fd_.get(), command, size, MSG_NOSIGNAL) : write(fd_.get(), command, size);
    if (sent < 0 && errno != EINTR && errno != EAGAIN) return Gone(errno);
    if (sent <= 0) continue;
    command += sent;
    size -= static_cast<size_t>(sent);
  }
  return {};
}

Failure TpmStream::Read(uint8_t* answer, size_t* size, const Deadline& deadline) {
  constexpr Failure kGarbled = {"the answer has no TPM's form", 0, kTpmGone};
  size_t length = 0;
  size_t expected = kHeaderSize;
  while (length < expected) {
    if (const Failure failure = WaitFor(fd_.get(), POLLIN, deadline)) return failure;
    // All that is there, for an old kernel forgets what was not read at once.
    const ssize_t got = read(fd_.get(), answer + length, kTpmBufferSize - length);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return Gone(got < 0 ? errno : 0);
    length += static_cast<size_t>(got);
    if (length < kHeaderSize) continue;
    uint32_t stated = 0;
    memcpy(&stated, answer + 2, sizeof stated);
    expected = be32toh(stated);
    if (expected < kHeaderSize || expected > kTpmBufferSize || length > expected) return kGarbled;
  }
  *size = length;
  return {};
}

}  // namespace holdfast
