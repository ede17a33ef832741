/** What a TPM's errors mean to an operator, and to whoever may try again. */
import { AgentError, type ErrorCode } from "../../../lib/errors.ts";
import type { TpmError } from "../../../lib/native-tpm.ts";

/** A kind of failure: whether waiting may mend it, and what to do. */
interface Meaning {
  readonly code: ErrorCode;
  readonly advice: string;
}

const LAYER = 0x00ff0000;
/** TPM_RC values, without their layer (TPM 2.0 Part 2, 6.6). */
const RESPONSES: ReadonlyMap<number, Meaning> = new Map([
  [0x100, { code: "FAILED_PRECONDITION", advice: "the TPM was not started by the firmware; switch it on there" }],
  [0x101, { code: "FAILED_PRECONDITION", advice: "the TPM is in failure mode; power the machine off and on" }],
  [0x902, { code: "UNAVAILABLE", advice: "the TPM has no room for another object; use /dev/tpmrm0, which makes some" }],
  [
    0x903,
    { code: "UNAVAILABLE", advice: "the TPM has no room for another session; use /dev/tpmrm0, which makes some" },
  ],
  [0x904, { code: "UNAVAILABLE", advice: "the TPM has no memory left; use /dev/tpmrm0, or end what else uses it" }],
  [0x921, { code: "UNAVAILABLE", advice: "the TPM is locked out after wrong passwords; wait, or clear the lockout" }],
  [0x922, { code: "UNAVAILABLE", advice: "the TPM is busy" }],
]);
/** TSS2_TCTI_RC_NOT_SUPPORTED and TSS2_TCTI_RC_IO_ERROR, of a name that went to libtss2-tctildr. */
const TCTI_ERRORS: ReadonlyMap<number, Meaning> = new Map([
  [0xa0015, { code: "FAILED_PRECONDITION", advice: "no transport of that name is installed; check tcti" }],
  [0xa000a, { code: "UNAVAILABLE", advice: "it cannot be reached" }],
]);
/** TPM_RC_BAD_AUTH and TPM_RC_AUTH_FAIL, whatever they are about. */
const WRONG_PASSWORD: Meaning = {
  code: "FAILED_PRECONDITION",
  advice: "the endorsement hierarchy has a password, which Holdfast cannot give; clear it in the TPM's set-up",
};

const CODES: Readonly<Record<string, Meaning>> = {
  ENOENT: { code: "FAILED_PRECONDITION", advice: "there is no TPM; switch it on in the firmware, or load its driver" },
  ENODEV: { code: "FAILED_PRECONDITION", advice: "there is no TPM; switch it on in the firmware, or load its driver" },
  ENXIO: { code: "FAILED_PRECONDITION", advice: "there is no TPM; switch it on in the firmware, or load its driver" },
  EACCES: {
    code: "FAILED_PRECONDITION",
    advice: "the agent may not use the TPM; add its user to the group that owns the device (tss on Debian)",
  },
  EPERM: { code: "FAILED_PRECONDITION", advice: "the agent may not use the TPM; check its unit's DeviceAllow" },
  EINVAL: { code: "FAILED_PRECONDITION", advice: "check tcti" },
  EBUSY: { code: "UNAVAILABLE", advice: "another program holds the TPM; use /dev/tpmrm0, which is shared" },
  ECONNREFUSED: { code: "UNAVAILABLE", advice: "no software TPM answers there; start swtpm" },
  ERR_TPM_LIBRARY: {
    code: "FAILED_PRECONDITION",
    advice: "install Debian's libtss2-esys-3.0.2-0 and libtss2-mu0",
  },
  ERR_TPM_TIMEOUT: { code: "UNAVAILABLE", advice: "the TPM does not answer; if it is slow, raise timeout" },
  ERR_TPM_GONE: { code: "UNAVAILABLE", advice: "the TPM went away" },
};

/** A software TPM's socket is not there; nobody has to look into the firmware. */
const NO_SOCKET: Meaning = { code: "UNAVAILABLE", advice: "there is no such socket; start swtpm" };
const UNKNOWN: Meaning = { code: "INTERNAL", advice: "" };

/** The error of an operation on the TPM at `tcti`, with what to do about it. Passes on what is no TPM's error. */
export function explainTpmError(error: unknown, tcti: string): unknown {
  if (!isTpmError(error)) return error;
  const isSocket = tcti.startsWith("swtpm:") && error.code === "ENOENT";
  const { code, advice } = isSocket ? NO_SOCKET : meaningOf(error);
  return new AgentError(code, `TPM at ${tcti}: ${advice === "" ? "it refused" : advice}`, { cause: error });
}

/** The TPM's own response code without layer; `undefined` when it did not answer with one. */
export function responseOf(error: unknown): number | undefined {
  return isTpmError(error) && error.rc !== undefined && (error.rc & LAYER) === 0 ? error.rc : undefined;
}

/** Whether the TPM has no room for what is to be loaded: TPM_RC_OBJECT_MEMORY, _SESSION_MEMORY, _MEMORY. */
export function isFull(error: unknown): boolean {
  return [0x902, 0x903, 0x904].includes(responseOf(error) ?? 0);
}

/** Whether the TPM refused the parameters themselves: it lacks an algorithm, a curve or a size. */
export function isUnsupported(error: unknown): boolean {
  const response = responseOf(error);
  // Format one: bit 7 set, the number in the low six bits (Part 2, 6.6.2).
  if (response === undefined || (response & 0x80) === 0) return false;
  return [0x02, 0x03, 0x04, 0x0a, 0x16, 0x26].includes(response & 0x3f);
}

function meaningOf(error: TpmError): Meaning {
  const response = responseOf(error);
  if (response !== undefined) {
    const isPassword = (response & 0xbf) === 0x8e || (response & 0xbf) === 0xa2;
    return isPassword ? WRONG_PASSWORD : (RESPONSES.get(response) ?? UNKNOWN);
  }
  return CODES[error.code] ?? TCTI_ERRORS.get(error.rc ?? 0) ?? UNKNOWN;
}

function isTpmError(error: unknown): error is TpmError {
  if (!(error instanceof Error) || error instanceof AgentError) return false;
  const { code } = error as { code?: unknown };
  return typeof code === "string" && (code.startsWith("ERR_TPM") || /^E[A-Z0-9]+$/.test(code));
}
