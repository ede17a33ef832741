// One connection to a TPM: libtss2's context over a transport, and whether both can still be used.
// Used by one thread at a time.
#pragma once

#include <memory>
#include <string>

#include "tcti.h"
#include "tss2.h"

namespace holdfast {

// Why an operation did not work. Converts to true on failure.
struct TpmFailure {
  const char* call = nullptr;  // static text: what was called, such as `Esys_Create`
  TSS2_RC rc = 0;              // what that answered
  Failure cause;               // has no text when the TPM answered with an error
  std::string detail;          // ends the message
  TpmFailure() = default;
  TpmFailure(const Failure& failure) : cause(failure) {}  // not explicit: to return one where the other is due
  TpmFailure(const char* called, TSS2_RC answer) : call(called), rc(answer) {}
  explicit operator bool() const { return call != nullptr || cause; }
};

class TpmConnection {
 public:
  // `name` as in the contract of openTpm.
  static TpmFailure Open(Tss2Library* library, const std::string& name, int timeout_ms,
                         std::unique_ptr<TpmConnection>* out);
  TpmConnection(const TpmConnection&) = delete;
  TpmConnection& operator=(const TpmConnection&) = delete;
  ~TpmConnection();

  // Starts an operation: its time begins. Fails at once when an earlier one left nothing to use.
  TpmFailure Begin();
  // Judges what a function of libtss2 answered.
  TpmFailure Check(const char* call, TSS2_RC rc);
  // Sends a command as it is, past libtss2's own record of what is loaded.
  TpmFailure Send(const char* call, const uint8_t* command, size_t size);

  const Tss2& tss;
  ESYS_CONTEXT* esys = nullptr;

 private:
  TpmConnection(const Tss2& functions, int timeout_ms) : tss(functions), timeout_ms_(timeout_ms) {}

  bool IsStuck();

  const int timeout_ms_;
  Failure lost_;
  TpmTcti own_;
  TSS2_TCTI_CONTEXT* tcti_ = nullptr;
  const TctiLoader* loader_ = nullptr;  // of the transport, when it is not our own
};

}  // namespace holdfast
