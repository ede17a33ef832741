/** Asks a TPM about itself. It makes primary keys for as long as it takes to look at them; nothing stays in the TPM. */
import type { EkKind } from "../../../attestors/tpm/config.ts";
import { type EkWish, findEndorsementKey } from "../../../attestors/tpm/device/endorsement-key.ts";
import { pcrBanks, readPcrs } from "../../../attestors/tpm/device/pcrs.ts";
import type { TpmDevice } from "../../../attestors/tpm/device/tpm-device.ts";
import type { PcrBank } from "../../../attestors/tpm/structures/algorithms.ts";
import { ekHash } from "../../../attestors/tpm/structures/bindings.ts";
import { readWhole } from "../../../attestors/tpm/structures/reader.ts";
import { AgentError, errorText } from "../../../lib/errors.ts";
import type { TpmHandle } from "../../../lib/native-tpm.ts";
import { errnoOf } from "./words.ts";

/** Values of properties by their number (TPM 2.0 Part 2, 6.13). */
export type TpmProperties = ReadonlyMap<number, number>;

/** PCRs 0 to 7 of one bank, in hex. */
export interface PcrValues {
  readonly bank: PcrBank;
  readonly values: Readonly<Record<number, string>>;
}

/** What it says without making a key. */
export interface TpmAnswers {
  readonly properties: TpmProperties;
  readonly banks: readonly PcrBank[];
  /** Absent when no bank is known. */
  readonly pcrs: PcrValues | undefined;
}

/** The key by which the agent will be known. */
export interface FoundKey {
  readonly kind: EkKind;
  readonly hash: string;
  /** DER. */
  readonly certificate: Uint8Array | undefined;
}

/** Why there is no answer, and what to do. */
export interface TpmFailure {
  readonly found: string;
  readonly advice: string | undefined;
}

const CAP_TPM_PROPERTIES = 6;
/** From the maker's identifier to its firmware's version; state; lockout: first property and how many. */
const RANGES = [
  [0x105, 8],
  [0x200, 2],
  [0x20e, 3],
] as const;
const MAX_PROPERTIES = 254;
const BOOT_PCRS = [0, 1, 2, 3, 4, 5, 6, 7];

/** Asks what needs no key and is answered at once. */
export function askTpm(device: TpmDevice, signal: AbortSignal): Promise<TpmAnswers | TpmFailure> {
  return orFailure(device, signal, async (tpm) => {
    const properties = await readProperties(tpm);
    const banks = await pcrBanks(tpm);
    const bank = banks.includes("sha256") ? "sha256" : banks[0];
    return { properties, banks, pcrs: bank === undefined ? undefined : await bootPcrs(tpm, bank) };
  });
}

/** Finds the endorsement key that an attestation would use. Making an RSA key takes a TPM seconds. */
export function askForKey(device: TpmDevice, wish: EkWish, signal: AbortSignal): Promise<FoundKey | TpmFailure> {
  return orFailure(device, signal, async (tpm) => {
    const { kind, spki, certificate } = await findEndorsementKey(tpm, wish);
    return { kind, hash: ekHash(spki), certificate };
  });
}

async function readProperties(tpm: TpmHandle): Promise<TpmProperties> {
  const all = new Map<number, number>();
  for (const [first, count] of RANGES) {
    for (const [property, value] of parseProperties(await tpm.getCapability(CAP_TPM_PROPERTIES, first, count))) {
      all.set(property, value);
    }
  }
  return all;
}

/** TPMS_CAPABILITY_DATA with a TPML_TAGGED_TPM_PROPERTY. Throws `MALFORMED`. */
export function parseProperties(data: Uint8Array): TpmProperties {
  return readWhole("TPMS_CAPABILITY_DATA", data, (reader) => {
    if (reader.u32() !== CAP_TPM_PROPERTIES) throw reader.fail("it is not about properties");
    const count = reader.u32();
    if (count > MAX_PROPERTIES) throw reader.fail(`${count} properties`);
    return new Map(Array.from({ length: count }, () => [reader.u32(), reader.u32()] as const));
  });
}

async function bootPcrs(tpm: TpmHandle, bank: PcrBank): Promise<PcrValues> {
  const read = await readPcrs(tpm, [{ bank, indices: BOOT_PCRS }]);
  const values = [...(read.get(bank) ?? [])].map(([index, value]) => [index, Buffer.from(value).toString("hex")]);
  return { bank, values: Object.fromEntries(values) };
}

async function orFailure<T>(
  device: TpmDevice,
  signal: AbortSignal,
  ask: (tpm: TpmHandle) => Promise<T>,
): Promise<T | TpmFailure> {
  try {
    return await device.use(ask, signal);
  } catch (error) {
    if (signal.aborted) return { found: "interrupted", advice: undefined };
    return explained(error, device.tcti);
  }
}

/** The attestor's errors read `TPM at …: what to do`, with what happened as their cause. */
function explained(error: unknown, tcti: string): TpmFailure {
  const prefix = `TPM at ${tcti}: `;
  const cause = error instanceof AgentError ? error.cause : undefined;
  if (!(cause instanceof Error) || !(error as AgentError).message.startsWith(prefix)) {
    return { found: errorText(error), advice: undefined };
  }
  const errno = errnoOf(cause);
  const usual = (error as AgentError).message.slice(prefix.length);
  const advice =
    errno === "ERR_TPM_TIMEOUT"
      ? "if it is only slow, raise -timeout and the plugin's timeout; else power the machine, or the software TPM, off and on"
      : errno === "ERR_TPM_GONE" || (errno === "ENOENT" && !tcti.startsWith("device:"))
        ? "check that tcti names a TPM 2.0, and that it is running"
        : usual;
  return { found: `${tcti}: ${errorText(cause)}`, advice };
}
