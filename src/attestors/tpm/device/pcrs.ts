/** Reads PCRs, of which a TPM tells eight at a time. */
import { AgentError } from "../../../lib/errors.ts";
import type { TpmHandle } from "../../../lib/native-tpm.ts";
import type { PcrBank } from "../structures/algorithms.ts";
import { encodeSelection, type PcrSelection, parseSelection, readSelection } from "../structures/pcr-selection.ts";
import { readWhole } from "../structures/reader.ts";

const CAP_PCRS = 5;
/** A machine that measures all the time is one that boots: it stops. */
const MAX_ATTEMPTS = 8;
/** More than a TPM with three banks of 24 PCRs needs. */
const MAX_READS = 32;

/** The banks in which the TPM keeps PCRs, of those that Holdfast knows. */
export async function pcrBanks(tpm: TpmHandle): Promise<readonly PcrBank[]> {
  const data = await tpm.getCapability(CAP_PCRS, 0, 1);
  const banks = readWhole("TPMS_CAPABILITY_DATA", data, (reader) => {
    if (reader.u32() !== CAP_PCRS) throw reader.fail("it is not about PCRs");
    return readSelection(reader, "skip");
  });
  return banks.filter(({ indices }) => indices.length > 0).map(({ bank }) => bank);
}

/** The values of a selection, all of one moment. Throws when the PCRs keep changing, or when the TPM lacks some. */
export async function readPcrs(
  tpm: TpmHandle,
  selection: readonly PcrSelection[],
): Promise<ReadonlyMap<PcrBank, ReadonlyMap<number, Uint8Array>>> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const values = await readOnce(tpm, selection);
    if (values !== undefined) return values;
  }
  throw new AgentError("UNAVAILABLE", "the PCRs change faster than they can be read");
}

/** `undefined` when a PCR was extended meanwhile. */
async function readOnce(
  tpm: TpmHandle,
  selection: readonly PcrSelection[],
): Promise<ReadonlyMap<PcrBank, ReadonlyMap<number, Uint8Array>> | undefined> {
  const values = new Map<PcrBank, Map<number, Uint8Array>>(selection.map(({ bank }) => [bank, new Map()]));
  let counter: number | undefined;
  for (let reads = 0; reads < MAX_READS; reads++) {
    const left = selection
      .map(({ bank, indices }) => ({ bank, indices: indices.filter((index) => !values.get(bank)?.has(index)) }))
      .filter(({ indices }) => indices.length > 0);
    if (left.length === 0) return values;
    const read = await tpm.pcrRead(encodeSelection(left));
    if (counter !== undefined && read.updateCounter !== counter) return undefined;
    counter = read.updateCounter;
    const told = parseSelection(read.selection).flatMap(({ bank, indices }) =>
      indices.map((index) => ({ bank, index })),
    );
    if (told.length === 0 || told.length !== read.digests.length) break;
    for (const [at, { bank, index }] of told.entries())
      values.get(bank)?.set(index, read.digests[at] ?? new Uint8Array());
  }
  throw new AgentError("FAILED_PRECONDITION", "the TPM does not have all of the PCRs that are asked for");
}
