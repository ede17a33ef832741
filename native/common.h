// What the parts of the addon share: an owned file descriptor, failures as data, and small Node-API helpers.
// Nothing here or in any other file is static and mutable: one process may load the addon in several workers.
#pragma once

#define NAPI_VERSION 8
#include <node_api.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// Why something did not work; `what` is static text, so that any thread may make one. Converts to true on failure.
struct Failure {
  const char* what = nullptr;  // what was tried, or the whole message when there is no errno
  int error = 0;               // errno, which gives `code` and ends the message
  const char* code = nullptr;  // a code of our own, in place of an errno
  explicit operator bool() const { return what != nullptr; }
};

// Throws a JavaScript Error with `code` and message. Returns nullptr, for `return Throw(...)`.
napi_value Throw(napi_env env, const Failure& failure);
// Makes that Error without throwing it.
napi_value MakeError(napi_env env, const Failure& failure);
napi_value ThrowType(napi_env env, const char* message);

// True when `status` is napi_ok; else makes sure that an exception is pending.
bool Ok(napi_env env, napi_status status);

// Each reads one argument, or throws and returns false.
bool GetInteger(napi_env env, napi_value value, const char* name, int min, int max, int* out);
bool GetBoolean(napi_env env, napi_value value, const char* name, bool* out);
// At most `max` bytes of UTF-8 without a NUL.
bool GetString(napi_env env, napi_value value, const char* name, size_t max, std::string* out);

napi_value Undefined(napi_env env);
// Sets a property; false with an exception pending on failure.
bool SetNumber(napi_env env, napi_value object, const char* name, uint32_t number);
// Defines a function as an enumerable property; `data` must outlive the environment.
bool DefineFunction(napi_env env, napi_value object, const char* name, napi_callback function, void* data = nullptr);
// The well-known symbol `Symbol.dispose`, or nullptr (no exception) on a Node without it.
napi_value SymbolDispose(napi_env env);

struct PeerEnv;
class Tss2Library;

// One per JavaScript environment; freed after everything else of that environment.
struct AddonData {
  std::shared_ptr<PeerEnv> peers;
  std::shared_ptr<Tss2Library> tss;
};

// Each part adds its functions to `exports`, or throws and returns false.
bool InitPeers(napi_env env, napi_value exports, AddonData* data);  // peercred.cc
bool InitLocks(napi_env env, napi_value exports);                   // file-lock.cc
bool InitProcess(napi_env env, napi_value exports);                 // process.cc
bool InitTpm(napi_env env, napi_value exports, AddonData* data);    // tpm/tpm.cc

}  // namespace holdfast
