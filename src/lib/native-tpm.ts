/**
 * The TPM as the native addon offers it: types only. Every operation is one complete exchange that leaves nothing
 * loaded in the TPM, runs off the event loop, and ends by its deadline. Byte strings are the TPM's own structures
 * (Trusted Platform Module Library, Part 2), in its byte order.
 */

/** Codes of errors beside errno names (of opening the device or socket). */
export type TpmErrorCode =
  /** libtss2 is not installed, or too old. */
  | "ERR_TPM_LIBRARY"
  /** The TPM or libtss2 answered with an error: see `rc`. */
  | "ERR_TPM"
  /** No answer by the deadline; the handle is unusable from then on. */
  | "ERR_TPM_TIMEOUT"
  /** The device or socket went away; the handle is unusable from then on. */
  | "ERR_TPM_GONE"
  /** Another operation of this handle is under way: callers take turns. */
  | "ERR_TPM_BUSY"
  /** The handle was closed. */
  | "ERR_TPM_CLOSED";

/** An error of a TPM operation. */
export interface TpmError extends Error {
  /** A {@link TpmErrorCode} or an errno name. */
  readonly code: string;
  /** What was called, such as `Esys_Create`. */
  readonly call?: string;
  /** TSS2_RC: the layer in bits 16 to 23, the TPM's own response code below. Absent when nothing was asked of it. */
  readonly rc?: number;
}

/** How the use of a key is authorized: an empty password, or a policy session with PolicySecret(endorsement). */
export type TpmKeyAuth = "password" | "policy-secret";

/** A key that is in the TPM persistently, or a primary that each operation makes anew from its template and flushes. */
export type TpmKey = TpmKeyUse &
  (
    | { readonly handle: number }
    | {
        readonly hierarchy: "owner" | "endorsement";
        /** TPMT_PUBLIC. */
        readonly template: Uint8Array;
      }
  );

/** How a key is used. */
export interface TpmKeyUse {
  readonly auth: TpmKeyAuth;
  /** TPML_DIGEST for a PolicyOR after PolicySecret, for keys whose policy has branches. */
  readonly policyOr?: Uint8Array;
}

/** A key below another one, outside the TPM. */
export interface TpmKeyBlob {
  /** TPMT_PUBLIC. */
  readonly public: Uint8Array;
  /** The content of TPM2B_PRIVATE: encrypted by the parent. */
  readonly private: Uint8Array;
}

/** A key that was made, and the TPM's statement that it was. */
export interface TpmCreatedKey extends TpmKeyBlob {
  /** TPMS_CREATION_DATA. */
  readonly creationData: Uint8Array;
  /** TPMS_ATTEST of TPM2_CertifyCreation, over no qualifying data. */
  readonly creationAttestation: Uint8Array;
  /** TPMT_SIGNATURE by the key itself. */
  readonly creationSignature: Uint8Array;
}

/** An open TPM. One operation at a time; a second is refused with `ERR_TPM_BUSY`. */
export interface TpmHandle {
  /** Waits for the operation under way, then lets go of the device. May be called again. */
  close(): Promise<void>;

  /**
   * Flushes every transient object and session. Only for a TPM without resource manager that nobody else uses: a
   * process that was killed may have left some there, and there is room for three.
   * @returns how many there were.
   */
  flushStale(): Promise<number>;

  /**
   * TPM2_GetCapability.
   * @returns TPMS_CAPABILITY_DATA, at most `count` values from `property` on.
   */
  getCapability(capability: number, property: number, count: number): Promise<Buffer>;

  /** The content of an NV index that owner or everyone may read without a secret; null when it is not there. */
  nvRead(index: number): Promise<Buffer | null>;

  /** TPMT_PUBLIC of a key; null when there is nothing at its persistent handle. */
  readPublic(key: TpmKey): Promise<Buffer | null>;

  /**
   * One TPM2_PCR_Read: of a long selection the TPM answers with the first eight digests.
   * @param selection TPML_PCR_SELECTION.
   */
  pcrRead(selection: Uint8Array): Promise<{
    readonly updateCounter: number;
    /** TPML_PCR_SELECTION of what was read. */
    readonly selection: Buffer;
    readonly digests: readonly Buffer[];
  }>;

  /**
   * Makes a signing key below `parent` and has it certify its own creation.
   * @param template TPMT_PUBLIC.
   */
  createAk(parent: TpmKey, template: Uint8Array): Promise<TpmCreatedKey>;

  /**
   * TPM2_ActivateCredential: what a server encrypted for `ak` in the TPM whose endorsement key is `ek`. The answer is
   * encrypted on its way from the TPM.
   * @param credential TPM2B_ID_OBJECT, with its size.
   * @param secret TPM2B_ENCRYPTED_SECRET, with its size.
   */
  activateCredential(
    parent: TpmKey,
    ak: TpmKeyBlob,
    ek: TpmKey,
    credential: Uint8Array,
    secret: Uint8Array,
  ): Promise<Buffer>;

  /**
   * TPM2_Quote with the key's own scheme.
   * @param qualifyingData at most as long as the TPM's longest digest.
   * @param selection TPML_PCR_SELECTION.
   * @returns TPMS_ATTEST and TPMT_SIGNATURE.
   */
  quote(
    parent: TpmKey,
    ak: TpmKeyBlob,
    qualifyingData: Uint8Array,
    selection: Uint8Array,
  ): Promise<{ readonly attest: Buffer; readonly signature: Buffer }>;

  /**
   * Seals a secret below `parent` to this TPM and to the values that PCRs have now. It is encrypted on its way.
   * @param selection TPML_PCR_SELECTION; an empty one for no PCR.
   * @param secret 1 to 256 bytes; some TPMs take 128.
   */
  seal(parent: TpmKey, selection: Uint8Array, secret: Uint8Array): Promise<TpmKeyBlob>;

  /**
   * What was sealed, encrypted on its way. Throws `ERR_TPM` with the response code 0x99d (TPM_RC_POLICY_FAIL) when a
   * PCR is another than it was.
   * @param selection the one that it was sealed with.
   */
  unseal(parent: TpmKey, blob: TpmKeyBlob, selection: Uint8Array): Promise<Buffer>;
}

/** Opens TPMs. */
export interface TpmOpener {
  /** What keeps libtss2 from being used, in words; null when nothing does. Looks once. */
  tpmUnavailable(): string | null;

  /**
   * @param tcti `device:/dev/tpmrm0`, `swtpm:path=/run/tpm.sock` or `swtpm:host=127.0.0.1,port=2321`, all by a
   *   transport of our own that keeps deadlines; any other name goes to libtss2-tctildr, whose transports may not.
   * @param timeoutMs what each operation of the handle may take, in milliseconds (1 to 2^31 - 1).
   * @throws an errno name (`ENOENT`, `EACCES`, `EBUSY`, `ECONNREFUSED`, …), `EINVAL` for a tcti that cannot be read,
   *   or a {@link TpmErrorCode}.
   */
  openTpm(tcti: string, timeoutMs: number): Promise<TpmHandle>;
}
