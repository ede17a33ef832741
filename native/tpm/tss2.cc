// The loading of tss2.h.
#include "tss2.h"

#include <dlfcn.h>

#include <cstdlib>

namespace holdfast {
namespace {

// Node exports the functions of its own OpenSSL, which would take the place of libcrypto's inside libtss2: a library
// must find its own dependencies first. The address sanitizer refuses that, and musl does not know it.
#if defined(RTLD_DEEPBIND) && !defined(__SANITIZE_ADDRESS__)
constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#else
constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;
#endif

std::string LastError() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown error of dlopen";
}

void* Open(const char* name, std::string* why) {
  void* library = dlopen(name, kFlags);
  if (library == nullptr) *why = LastError();
  return library;
}

template <class Function>
bool Find(void* library, const char* name, Function* out, std::string* why) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  if (*out != nullptr) return true;
  *why = LastError();
  return false;
}

}  // namespace

// Each of its modules reads the variable when it first has something to log, which may be at any time.
void SilenceTss2() { setenv("TSS2_LOG", "all+NONE", /*overwrite=*/0); }

#define HOLDFAST_FIND(name) &&Find(library, #name, &table->name, &missing)

const Tss2* Tss2Library::Load(std::string* why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!looked_) {
    looked_ = true;
    Tss2* const table = &functions_;
    std::string missing;
    void* library = Open("libtss2-mu.so.0", &missing);
    bool found = library != nullptr HOLDFAST_MU_FUNCTIONS(HOLDFAST_FIND);
    if (found) {
      library = Open("libtss2-esys.so.0", &missing);
      found = library != nullptr HOLDFAST_ESYS_FUNCTIONS(HOLDFAST_FIND);
    }
    if (!found) missing_ = "libtss2 cannot be used (Debian package libtss2-esys-3.0.2-0): " + missing;
    std::string no_matter;
    library = found ? Open("libtss2-rc.so.0", &no_matter) : nullptr;
    if (library != nullptr) Find(library, "Tss2_RC_Decode", &functions_.Tss2_RC_Decode, &no_matter);
  }
  *why = missing_;
  return missing_.empty() ? &functions_ : nullptr;
}

const TctiLoader* Tss2Library::LoadTctiLoader(std::string* why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!looked_for_tctildr_) {
    looked_for_tctildr_ = true;
    TctiLoader* const table = &tctildr_;
    std::string missing;
    void* library = Open("libtss2-tctildr.so.0", &missing);
    const bool found = library != nullptr HOLDFAST_TCTILDR_FUNCTIONS(HOLDFAST_FIND);
    if (!found) missing_tctildr_ = "libtss2-tctildr cannot be used (Debian package libtss2-tctildr0): " + missing;
  }
  *why = missing_tctildr_;
  return missing_tctildr_.empty() ? &tctildr_ : nullptr;
}

}  // namespace holdfast
