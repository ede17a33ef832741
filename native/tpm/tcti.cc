// The transport of tcti.h.
#include "tcti.h"

#include <endian.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <cstring>

namespace holdfast {
namespace {

constexpr int kFirstPause = 10;
constexpr int kLongestPause = 500;

// The TPM did nothing yet and wants to be asked again. libtss2 would do that five times without a pause.
bool WantsRetry(const uint8_t* answer) {
  uint32_t code = 0;
  memcpy(&code, answer + 6, sizeof code);
  code = be32toh(code);
  return code == TPM2_RC_RETRY || code == TPM2_RC_YIELDED || code == TPM2_RC_TESTING;
}

// None of these is called by libtss2 itself.
TSS2_RC NoCancel(TSS2_TCTI_CONTEXT*) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
TSS2_RC NoPollHandles(TSS2_TCTI_CONTEXT*, TSS2_TCTI_POLL_HANDLE*, size_t*) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
TSS2_RC NoLocality(TSS2_TCTI_CONTEXT*, uint8_t) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
TSS2_RC NoSticky(TSS2_TCTI_CONTEXT*, TPM2_HANDLE*, uint8_t) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }
void NoFinalize(TSS2_TCTI_CONTEXT*) {}  // our destructor does it

}  // namespace

TpmTcti::TpmTcti() {
  shim_.common.v1.magic = 0x686f6c6466617374;  // "holdfast"
  shim_.common.v1.version = 2;
  shim_.common.v1.transmit = OnTransmit;
  shim_.common.v1.receive = OnReceive;
  shim_.common.v1.finalize = NoFinalize;
  shim_.common.v1.cancel = NoCancel;
  shim_.common.v1.getPollHandles = NoPollHandles;
  shim_.common.v1.setLocality = NoLocality;
  shim_.common.makeSticky = NoSticky;
  shim_.self = this;
}

TSS2_RC TpmTcti::OnTransmit(TSS2_TCTI_CONTEXT* context, size_t size, const uint8_t* command) {
  if (context == nullptr || command == nullptr) return TSS2_TCTI_RC_BAD_REFERENCE;
  return Self(context)->Transmit(command, size);
}

TSS2_RC TpmTcti::OnReceive(TSS2_TCTI_CONTEXT* context, size_t* size, uint8_t* answer, int32_t) {
  if (context == nullptr || size == nullptr) return TSS2_TCTI_RC_BAD_REFERENCE;
  return Self(context)->Receive(answer, size);
}

TSS2_RC TpmTcti::Transmit(const uint8_t* command, size_t size) {
  if (lost_) return TSS2_TCTI_RC_IO_ERROR;
  if (size > kTpmBufferSize) return TSS2_TCTI_RC_BAD_VALUE;
  command_.assign(command, command + size);
  answered_ = false;
  lost_ = stream_.Write(command, size, deadline_);
  return lost_ ? TSS2_TCTI_RC_IO_ERROR : TSS2_RC_SUCCESS;
}

TSS2_RC TpmTcti::Receive(uint8_t* answer, size_t* size) {
  if (lost_) return TSS2_TCTI_RC_IO_ERROR;
  if (!answered_) lost_ = Exchange();
  if (lost_) return TSS2_TCTI_RC_IO_ERROR;
  answered_ = true;
  const size_t room = *size;
  *size = answer_size_;
  if (answer == nullptr) return TSS2_RC_SUCCESS;  // asks for the size only
  if (room < answer_size_) return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  memcpy(answer, answer_, answer_size_);
  answered_ = false;
  return TSS2_RC_SUCCESS;
}

// Reads the answer to the command that was sent, and sends it again while the TPM wants that.
Failure TpmTcti::Exchange() {
  for (int pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    if (const Failure failure = stream_.Read(answer_, &answer_size_, deadline_)) return failure;
    if (!WantsRetry(answer_)) return {};
    SleepFor(pause, deadline_);
    if (const Failure failure = stream_.Write(command_.data(), command_.size(), deadline_)) return failure;
  }
}

}  // namespace holdfast
