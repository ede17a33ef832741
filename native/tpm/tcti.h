// The transport below libtss2 that keeps deadlines; libtss2's own ones wait for as long as the TPM likes.
#pragma once

#include <tss2/tss2_tcti.h>

#include <vector>

#include "stream.h"

namespace holdfast {

class TpmTcti {
 public:
  TpmTcti();
  TpmTcti(const TpmTcti&) = delete;
  TpmTcti& operator=(const TpmTcti&) = delete;

  Failure Open(const std::string& name, const Deadline& deadline) { return TpmStream::Open(name, deadline, &stream_); }
  // What libtss2 knows it by; lives as long as this.
  TSS2_TCTI_CONTEXT* context() { return reinterpret_cast<TSS2_TCTI_CONTEXT*>(&shim_); }

  // Of all that is sent from now on.
  void SetDeadline(const Deadline& deadline) { deadline_ = deadline; }
  // Why nothing can be sent any more.
  const Failure& lost() const { return lost_; }

 private:
  // What libtss2 calls. It reads the first part by address, hence a plain structure.
  struct Shim {
    TSS2_TCTI_CONTEXT_COMMON_V2 common;
    TpmTcti* self;
  };
  static TpmTcti* Self(TSS2_TCTI_CONTEXT* context) { return reinterpret_cast<Shim*>(context)->self; }
  static TSS2_RC OnTransmit(TSS2_TCTI_CONTEXT* context, size_t size, const uint8_t* command);
  static TSS2_RC OnReceive(TSS2_TCTI_CONTEXT* context, size_t* size, uint8_t* answer, int32_t timeout);

  TSS2_RC Transmit(const uint8_t* command, size_t size);
  TSS2_RC Receive(uint8_t* answer, size_t* size);
  Failure Exchange();

  Shim shim_ = {};
  TpmStream stream_;
  Deadline deadline_;
  Failure lost_;
  std::vector<uint8_t> command_;
  bool answered_ = false;  // `answer_` holds what was not fetched yet
  size_t answer_size_ = 0;
  uint8_t answer_[kTpmBufferSize] = {};
};

}  // namespace holdfast
