/** TPMS_ATTEST: what a TPM states and signs (TPM 2.0 Part 2, 10.12.12); quotes and creations only. */
import { type PcrSelection, readSelection } from "./pcr-selection.ts";
import { readWhole, type TpmReader } from "./reader.ts";

/** TPM_GENERATED_VALUE: no TPM lets a restricted key sign external data that starts with it. */
export const TPM_GENERATED = 0xff544347;

const ATTEST_QUOTE = 0x8018;
const ATTEST_CREATION = 0x801a;
/** A Name: algorithm and digest. */
const MAX_NAME = 66;
const MAX_DIGEST = 64;
/** TPM2B_DATA holds a TPMT_HA at most. */
const MAX_EXTRA_DATA = 66;

/** TPMS_CLOCK_INFO. Counters are obfuscated unless the signing key is in the endorsement or platform hierarchy. */
export interface ClockInfo {
  /** Milliseconds that the TPM was powered. */
  readonly clock: bigint;
  /** Resets (a reboot each) since the TPM was cleared. */
  readonly resetCount: number;
  /** Restarts and resumes since the last reset. */
  readonly restartCount: number;
  /** Whether no higher value of `clock` was reported before. */
  readonly safe: boolean;
}

/** What a quote states. */
export interface QuoteInfo {
  readonly kind: "quote";
  readonly selection: readonly PcrSelection[];
  readonly pcrDigest: Uint8Array;
}

/** What a certified creation states. */
export interface CreationInfo {
  readonly kind: "creation";
  /** Name of the object that was created. */
  readonly objectName: Uint8Array;
  readonly creationHash: Uint8Array;
}

/** A parsed statement. Nothing about it is trusted until its magic and signature are checked. */
export interface Attest {
  /** TPMS_ATTEST, as it was read and signed. */
  readonly bytes: Uint8Array;
  readonly magic: number;
  readonly extraData: Uint8Array;
  readonly clockInfo: ClockInfo;
  readonly firmwareVersion: bigint;
  readonly attested: QuoteInfo | CreationInfo | { readonly kind: "other"; readonly type: number };
}

/** Reads a statement; no byte may follow it. Throws `MALFORMED`. A type that we do not know is left unread. */
export function parseAttest(bytes: Uint8Array): Attest {
  return readWhole("TPMS_ATTEST", bytes, (reader) => {
    const magic = reader.u32();
    const type = reader.u16();
    reader.sized(MAX_NAME); // qualifiedSigner: a hash over parents that we do not know
    const extraData = reader.sized(MAX_EXTRA_DATA);
    const clockInfo = readClockInfo(reader);
    const firmwareVersion = reader.u64();
    return { bytes, magic, extraData, clockInfo, firmwareVersion, attested: readAttested(reader, type, bytes.length) };
  });
}

function readClockInfo(reader: TpmReader): ClockInfo {
  const clock = reader.u64();
  const resetCount = reader.u32();
  const restartCount = reader.u32();
  const safe = reader.u8();
  if (safe > 1) throw reader.fail("a boolean that is neither 0 nor 1");
  return { clock, resetCount, restartCount, safe: safe === 1 };
}

function readAttested(reader: TpmReader, type: number, length: number): Attest["attested"] {
  switch (type) {
    case ATTEST_QUOTE:
      return { kind: "quote", selection: readSelection(reader), pcrDigest: reader.sized(MAX_DIGEST) };
    case ATTEST_CREATION:
      return { kind: "creation", objectName: reader.sized(MAX_NAME), creationHash: reader.sized(MAX_DIGEST) };
    default:
      reader.bytes(length - reader.at);
      return { kind: "other", type };
  }
}
