// Commands to a TPM and answers from it, by a deadline: a character device, or the socket of swtpm.
// Knows nothing of libtss2.
#pragma once

#include <string>

#include "../common.h"

namespace holdfast {

// Longer commands and answers do not occur: the kernel's limit, and twice what the TPMs of today can do.
constexpr size_t kTpmBufferSize = 4096;

// Codes of failures after which a stream cannot be used.
constexpr char kTpmTimeout[] = "ERR_TPM_TIMEOUT";
constexpr char kTpmGone[] = "ERR_TPM_GONE";

// A point in time, in milliseconds of the monotonic clock.
class Deadline {
 public:
  Deadline() = default;
  static Deadline In(int ms);
  // Milliseconds until then, at least 0.
  int Left() const;

 private:
  int64_t at_ = 0;
};

// Waits that long, or until the deadline if that is sooner.
void SleepFor(int ms, const Deadline& deadline);

class TpmStream {
 public:
  // True for the names that Open reads: `device:PATH`, `swtpm:path=SOCKET`, `swtpm:host=ADDRESS,port=NUMBER`.
  static bool Reads(const std::string& name);
  static Failure Open(const std::string& name, const Deadline& deadline, TpmStream* out);

  Failure Write(const uint8_t* command, size_t size, const Deadline& deadline);
  // Reads one whole answer, at most kTpmBufferSize bytes.
  Failure Read(uint8_t* answer, size_t* size, const Deadline& deadline);

 private:
  Fd fd_;
  bool socket_ = false;
};

}  // namespace holdfast
