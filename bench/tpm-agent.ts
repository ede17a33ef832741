/** Our agent's half of `tpm` with a real TPM, in a process of its own: whole ceremonies, one after the other. */
import { createPublicKey } from "node:crypto";
import { TpmAgentAttestor } from "../src/attestors/tpm/agent.ts";
import type { EkKind } from "../src/attestors/tpm/config.ts";
import { TpmDevice } from "../src/attestors/tpm/device/tpm-device.ts";
import { loadNative } from "../src/cli/native.ts";
import { systemClock } from "../src/lib/clock.ts";
import { silentLogger } from "../src/lib/log.ts";
import { createCsr } from "../src/pki/csr.ts";
import { generateKey } from "../src/pki/keys.ts";
import { attestOver } from "./lib/attest-call.ts";
import { type Address, dial } from "./lib/dial.ts";
import { type Summary, summarize } from "./lib/statistics.ts";
import { monotonicMicros, serveOperations } from "./lib/worker.ts";

const TIMEOUT_MS = 60_000;

const operations = {
  /** Attests `count` times, each over a connection of its own, as the agent does; how long each took, in µs. */
  async attest(o: { to: Address; tcti: string; ek: EkKind; count: number }): Promise<Summary & { micros: number }> {
    const device = new TpmDevice({ clock: systemClock, opener: loadNative(), tcti: o.tcti, timeoutMs: TIMEOUT_MS });
    const choice = { load: async () => undefined, save: async () => {} };
    const attestor = new TpmAgentAttestor({ log: silentLogger, device, choice }, { ek: o.ek, ak: "ec-p256" });
    const latencies: number[] = [];
    const started = monotonicMicros();
    for (let turn = 0; turn < o.count; turn++) {
      const from = monotonicMicros();
      await attestOnce(attestor, o.to);
      latencies.push(monotonicMicros() - from);
    }
    return { ...summarize(latencies), micros: monotonicMicros() - started };
  },
};

/** The operations, for the bench's side. */
export type TpmAgentOperations = typeof operations;

async function attestOnce(attestor: TpmAgentAttestor, to: Address): Promise<void> {
  const privateKey = await generateKey("ec-p256");
  const csr = await createCsr({ privateKey });
  const csrPublicKey = createPublicKey(privateKey);
  await using ceremony = await attestor.begin({ csrPublicKey }, AbortSignal.timeout(TIMEOUT_MS));
  const connection = await dial(to);
  const { payload } = ceremony;
  const respond = (challenge: Uint8Array): Promise<Uint8Array> => ceremony.respond(challenge);
  const challenges = await attestOver(connection, { type: attestor.name, payload, csr, respond });
  connection.socket.destroy();
  if (challenges !== 2) throw new Error(`${challenges} challenges: the TPM was not asked for a quote`);
}

serveOperations(operations);
