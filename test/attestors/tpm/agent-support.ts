/** The agent's half with a TPM behind the addon's port, and the real server's half. */
import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { AttestResult } from "../../../src/attestors/node.ts";
import { TpmAgentAttestor } from "../../../src/attestors/tpm/agent.ts";
import type { TpmAgentConfig } from "../../../src/attestors/tpm/config.ts";
import type { EkChoice } from "../../../src/attestors/tpm/device/ek-choice.ts";
import { p256Low, p384High, rsaLow } from "../../../src/attestors/tpm/device/templates.ts";
import { TpmDevice } from "../../../src/attestors/tpm/device/tpm-device.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Json } from "../../fakes/soft-tpm/agent.ts";
import type { EkKind, SoftEk } from "../../fakes/soft-tpm/tpm.ts";
import { ekCertificate } from "../../fakes/soft-tpm/vendor.ts";
import { FakeTpm } from "./device/fake-tpm.ts";
import { type Line, nodesWith, recordingLogger, type ServerSetting, SoftServer } from "./server-harness.ts";

export const server = new SoftServer();
export const { signal } = new AbortController();
export const INDEX: Record<EkKind, number> = { "rsa-2048": 0x01c00002, "ec-p256": 0x01c0000a, "ec-p384": 0x01c00016 };
export const TEMPLATE: Record<EkKind, Uint8Array> = {
  "rsa-2048": rsaLow(),
  "ec-p256": p256Low(),
  "ec-p384": p384High(),
};

/** A TPM with a certificate for the keys of these kinds. */
export function tpmWith(...kinds: EkKind[]): FakeTpm {
  const tpm = new FakeTpm();
  for (const kind of kinds) tpm.nv.set(INDEX[kind], ekCertificate(server.vendor, tpm.primary(TEMPLATE[kind])));
  return tpm;
}

export function setUp(tpm: FakeTpm, config: Partial<TpmAgentConfig> = {}, stored?: EkChoice) {
  const lines: Line[] = [];
  const saved: EkChoice[] = stored === undefined ? [] : [stored];
  const choice = { load: async () => saved.at(-1), save: async (next: EkChoice) => void saved.push(next) };
  const device = new TpmDevice({ clock: systemClock, opener: tpm, tcti: "fake", timeoutMs: 1_000 });
  const deps = { log: recordingLogger(lines), device, choice };
  return { attestor: new TpmAgentAttestor(deps, { ek: undefined, ak: "ec-p256", ...config }), lines, saved, choice };
}

export const newCsr = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;

export async function attest(
  attestor: TpmAgentAttestor,
  setting: ServerSetting = {},
  change: (challenge: Uint8Array) => Uint8Array = (challenge) => challenge,
): Promise<AttestResult> {
  const csrPublicKey = newCsr();
  await using ceremony = await attestor.begin({ csrPublicKey }, signal);
  const request = { payload: ceremony.payload, csrPublicKey, peerAddress: "192.0.2.1", nodes: nodesWith() };
  const half = await server.attestor(setting);
  return await half.attest(request, (challenge) => ceremony.respond(change(challenge)));
}

export const hashOf = (ek: SoftEk): string => createHash("sha256").update(ek.spki).digest("hex");
export const json = (value: Json): Uint8Array => Buffer.from(JSON.stringify(value));
export const QUOTE = { Nonce: Buffer.alloc(32).toString("base64"), PCRs: [{ Bank: "sha256", Indices: [7] }] };
