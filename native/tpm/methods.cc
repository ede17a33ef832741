// The methods of methods.h: each reads its arguments, runs its operation as a job, and makes its result.
#include "methods.h"

#include <string.h>

#include "arguments.h"
#include "sealing.h"

namespace holdfast {
namespace {

// Marks our objects, so that a method called on another one finds out.
constexpr napi_type_tag kTag = {0x5a0d1b6c5ff14c0e, 0x9d6f4be7a1c83d27};
constexpr size_t kMostArguments = 5;

// One operation of an open TPM.
class Operation : public TpmJob {
 public:
  virtual bool Read(const TpmArguments&) { return true; }

 protected:
  virtual TpmFailure Operate(TpmConnection* tpm) = 0;

 private:
  TpmFailure Run() override {
    if (TpmFailure failure = handle->connection->Begin()) return failure;
    return Operate(handle->connection.get());
  }
};

// flushStale()
class FlushStaleJob : public Operation {
  uint32_t count_ = 0;
  TpmFailure Operate(TpmConnection* tpm) override { return FlushStale(tpm, &count_); }
  napi_value Result(napi_env env) override {
    napi_value number = nullptr;
    return Ok(env, napi_create_uint32(env, count_, &number)) ? number : nullptr;
  }
};

// getCapability(capability, property, count)
class GetCapabilityJob : public Operation {
  uint32_t capability_ = 0;
  uint32_t property_ = 0;
  uint32_t count_ = 0;
  Bytes data_;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Number(0, "capability", 0, UINT32_MAX, &capability_) &&
           arguments.Number(1, "property", 0, UINT32_MAX, &property_) &&
           arguments.Number(2, "count", 1, UINT32_MAX, &count_);
  }
  TpmFailure Operate(TpmConnection* tpm) override { return GetCapability(tpm, capability_, property_, count_, &data_); }
  napi_value Result(napi_env env) override { return ToBuffer(env, data_); }
};

// Its result is null when there is nothing.
class LookUp : public Operation {
 protected:
  bool found_ = false;
  Bytes data_;

 private:
  napi_value Result(napi_env env) override {
    if (found_) return ToBuffer(env, data_);
    napi_value null = nullptr;
    return Ok(env, napi_get_null(env, &null)) ? null : nullptr;
  }
};

// nvRead(index)
class NvReadJob : public LookUp {
  uint32_t index_ = 0;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Number(0, "index", TPM2_NV_INDEX_FIRST, TPM2_NV_INDEX_LAST, &index_);
  }
  TpmFailure Operate(TpmConnection* tpm) override { return NvRead(tpm, index_, &found_, &data_); }
};

// readPublic(key)
class ReadPublicJob : public LookUp {
  TpmKey key_;
  bool Read(const TpmArguments& arguments) override { return arguments.Key(0, "key", &key_); }
  TpmFailure Operate(TpmConnection* tpm) override { return ReadPublic(tpm, key_, &found_, &data_); }
};

// pcrRead(selection)
class PcrReadJob : public Operation {
  TPML_PCR_SELECTION selection_ = {};
  PcrValues values_;
  bool Read(const TpmArguments& arguments) override { return arguments.Structure(0, "selection", &selection_); }
  TpmFailure Operate(TpmConnection* tpm) override { return PcrRead(tpm, selection_, &values_); }
  napi_value Result(napi_env env) override {
    napi_value object = nullptr;
    napi_value digests = nullptr;
    if (!Ok(env, napi_create_object(env, &object)) ||
        !Ok(env, napi_create_array_with_length(env, values_.digests.size(), &digests))) {
      return nullptr;
    }
    for (size_t i = 0; i < values_.digests.size(); i++) {
      napi_value digest = ToBuffer(env, values_.digests[i]);
      if (digest == nullptr || !Ok(env, napi_set_element(env, digests, static_cast<uint32_t>(i), digest))) {
        return nullptr;
      }
    }
    const bool made = SetNumber(env, object, "updateCounter", values_.update_counter) &&
                      SetBytes(env, object, "selection", values_.selection) &&
                      Ok(env, napi_set_named_property(env, object, "digests", digests));
    return made ? object : nullptr;
  }
};

// createAk(parent, template)
class CreateAkJob : public Operation {
  TpmKey parent_;
  TPM2B_PUBLIC template_ = {};
  CreatedKey made_;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Key(0, "parent", &parent_) && arguments.Structure(1, "template", &template_);
  }
  TpmFailure Operate(TpmConnection* tpm) override { return CreateAk(tpm, parent_, template_, &made_); }
  napi_value Result(napi_env env) override {
    napi_value object = nullptr;
    const bool made = Ok(env, napi_create_object(env, &object)) &&
                      SetBytes(env, object, "public", made_.public_area) &&
                      SetBytes(env, object, "private", made_.private_area) &&
                      SetBytes(env, object, "creationData", made_.creation_data) &&
                      SetBytes(env, object, "creationAttestation", made_.attestation) &&
                      SetBytes(env, object, "creationSignature", made_.signature);
    return made ? object : nullptr;
  }
};

// activateCredential(parent, ak, ek, credential, secret)
class ActivateCredentialJob : public Operation {
 public:
  ~ActivateCredentialJob() override {
    if (!recovered_.empty()) explicit_bzero(recovered_.data(), recovered_.size());
  }

 private:
  TpmKey parent_;
  TpmKeyBlob ak_;
  TpmKey ek_;
  TPM2B_ID_OBJECT credential_ = {};
  TPM2B_ENCRYPTED_SECRET secret_ = {};
  Bytes recovered_;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Key(0, "parent", &parent_) && arguments.Blob(1, "ak", &ak_) && arguments.Key(2, "ek", &ek_) &&
           arguments.Structure(3, "credential", &credential_) && arguments.Structure(4, "secret", &secret_);
  }
  TpmFailure Operate(TpmConnection* tpm) override {
    return ActivateCredential(tpm, parent_, ak_, ek_, credential_, secret_, &recovered_);
  }
  napi_value Result(napi_env env) override { return ToBuffer(env, recovered_); }
};

// quote(parent, ak, qualifyingData, selection)
class QuoteJob : public Operation {
  TpmKey parent_;
  TpmKeyBlob ak_;
  TPM2B_DATA qualifying_data_ = {};
  TPML_PCR_SELECTION selection_ = {};
  Quote quote_;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Key(0, "parent", &parent_) && arguments.Blob(1, "ak", &ak_) &&
           arguments.Structure(2, "qualifyingData", &qualifying_data_) &&
           arguments.Structure(3, "selection", &selection_);
  }
  TpmFailure Operate(TpmConnection* tpm) override {
    return MakeQuote(tpm, parent_, ak_, qualifying_data_, selection_, &quote_);
  }
  napi_value Result(napi_env env) override {
    napi_value object = nullptr;
    const bool made = Ok(env, napi_create_object(env, &object)) && SetBytes(env, object, "attest", quote_.attest) &&
                      SetBytes(env, object, "signature", quote_.signature);
    return made ? object : nullptr;
  }
};

// seal(parent, selection, secret)
class SealJob : public Operation {
 public:
  ~SealJob() override { explicit_bzero(&secret_, sizeof secret_); }

 private:
  TpmKey parent_;
  TPML_PCR_SELECTION selection_ = {};
  TPM2B_SENSITIVE_DATA secret_ = {};
  SealedBlob blob_;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Key(0, "parent", &parent_) && arguments.Structure(1, "selection", &selection_) &&
           arguments.Structure(2, "secret", &secret_);
  }
  TpmFailure Operate(TpmConnection* tpm) override { return Seal(tpm, parent_, selection_, secret_, &blob_); }
  napi_value Result(napi_env env) override {
    napi_value object = nullptr;
    const bool made = Ok(env, napi_create_object(env, &object)) &&
                      SetBytes(env, object, "public", blob_.public_area) &&
                      SetBytes(env, object, "private", blob_.private_area);
    return made ? object : nullptr;
  }
};

// unseal(parent, blob, selection)
class UnsealJob : public Operation {
 public:
  ~UnsealJob() override {
    if (!secret_.empty()) explicit_bzero(secret_.data(), secret_.size());
  }

 private:
  TpmKey parent_;
  TpmKeyBlob blob_;
  TPML_PCR_SELECTION selection_ = {};
  Bytes secret_;
  bool Read(const TpmArguments& arguments) override {
    return arguments.Key(0, "parent", &parent_) && arguments.Blob(1, "blob", &blob_) &&
           arguments.Structure(2, "selection", &selection_);
  }
  TpmFailure Operate(TpmConnection* tpm) override { return Unseal(tpm, parent_, blob_, selection_, &secret_); }
  napi_value Result(napi_env env) override { return ToBuffer(env, secret_); }
};

// The handle below `self`, or an empty one with an exception pending.
std::shared_ptr<TpmHandle> HandleOf(napi_env env, napi_callback_info info, napi_value* arguments) {
  size_t count = kMostArguments;
  napi_value self = nullptr;
  bool ours = false;
  void* pointer = nullptr;
  if (!Ok(env, napi_get_cb_info(env, info, &count, arguments, &self, nullptr))) return {};
  if (napi_check_object_type_tag(env, self, &kTag, &ours) != napi_ok || !ours ||
      napi_unwrap(env, self, &pointer) != napi_ok) {
    ThrowType(env, "called on something that is no TPM");
    return {};
  }
  return *static_cast<std::shared_ptr<TpmHandle>*>(pointer);
}

// Whatever goes wrong rejects the promise.
template <class Job>
napi_value Call(napi_env env, napi_callback_info info) {
  napi_value values[kMostArguments] = {};
  auto job = std::make_unique<Job>();
  job->handle = HandleOf(env, info, values);
  if (job->handle == nullptr) return RejectPending(env);
  // Getters of the arguments may run scripts: whether the TPM is busy or closed is looked at afterwards.
  Operation& operation = *job;
  if (!operation.Read(TpmArguments(env, *job->handle->tss, values))) return RejectPending(env);
  return TpmJob::Start(env, std::move(job));
}

// close()
napi_value Close(napi_env env, napi_callback_info info) {
  napi_value values[kMostArguments] = {};
  const std::shared_ptr<TpmHandle> handle = HandleOf(env, info, values);
  return handle == nullptr ? RejectPending(env) : TpmJob::Close(env, handle);
}

}  // namespace

napi_value WrapTpm(napi_env env, const std::shared_ptr<TpmHandle>& handle) {
  napi_value object = nullptr;
  if (!Ok(env, napi_create_object(env, &object)) || !DefineFunction(env, object, "close", Close) ||
      !DefineFunction(env, object, "flushStale", Call<FlushStaleJob>) ||
      !DefineFunction(env, object, "getCapability", Call<GetCapabilityJob>) ||
      !DefineFunction(env, object, "nvRead", Call<NvReadJob>) ||
      !DefineFunction(env, object, "readPublic", Call<ReadPublicJob>) ||
      !DefineFunction(env, object, "pcrRead", Call<PcrReadJob>) ||
      !DefineFunction(env, object, "createAk", Call<CreateAkJob>) ||
      !DefineFunction(env, object, "activateCredential", Call<ActivateCredentialJob>) ||
      !DefineFunction(env, object, "quote", Call<QuoteJob>) ||
      !DefineFunction(env, object, "seal", Call<SealJob>) ||
      !DefineFunction(env, object, "unseal", Call<UnsealJob>) || !Ok(env, napi_type_tag_object(env, object, &kTag))) {
    return nullptr;
  }
  const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<TpmHandle>*>(data); };
  auto held = std::make_unique<std::shared_ptr<TpmHandle>>(handle);
  if (!Ok(env, napi_wrap(env, object, held.get(), release, nullptr, nullptr))) return nullptr;
  static_cast<void>(held.release());
  return object;
}

}  // namespace holdfast
