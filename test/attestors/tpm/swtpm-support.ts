/** Both halves over a real software TPM, in this process. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Swtpm, SwtpmCa, type SwtpmOptions } from "../../../scripts/lib/swtpm.ts";
import type { Attestation, AttestResult } from "../../../src/attestors/node.ts";
import { TpmAgentAttestor } from "../../../src/attestors/tpm/agent.ts";
import type { AkKind, EkKind } from "../../../src/attestors/tpm/config.ts";
import type { EkChoice } from "../../../src/attestors/tpm/device/ek-choice.ts";
import { TpmDevice } from "../../../src/attestors/tpm/device/tpm-device.ts";
import { loadNative } from "../../../src/cli/native.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import type { TpmOpener } from "../../../src/lib/native-tpm.ts";
import { type Line, nodesWith, type ServerSetting, SoftServer } from "./server-harness.ts";

/** Why nothing here can run; undefined when it can. */
export const MISSING = Swtpm.missing() ?? whyNoLibrary();
export const WHY = MISSING === undefined ? "" : ` (${MISSING})`;

function whyNoLibrary(): string | undefined {
  try {
    return loadNative().tpmUnavailable() ?? undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What a TPM holds of a client that left nothing. */
export const NOTHING = { transient: 0, sessions: 0 };

export interface AgentSetting {
  readonly ek?: EkKind;
  readonly ak?: AkKind;
}

/** A ceremony that has begun. */
export interface Begun {
  readonly ceremony: Attestation;
  readonly csrPublicKey: KeyObject;
}

/** An agent with a device of its own, whose deadline can be changed while it runs. */
export class SwtpmAgent {
  readonly saved: EkChoice[] = [];
  timeoutMs = 30_000;
  readonly #attestor: TpmAgentAttestor;

  constructor(tcti: string, { ek, ak = "ec-p256" }: AgentSetting = {}) {
    const native = loadNative();
    const opener: TpmOpener = {
      tpmUnavailable: () => native.tpmUnavailable(),
      openTpm: (name) => native.openTpm(name, this.timeoutMs),
    };
    const device = new TpmDevice({ clock: systemClock, opener, tcti, timeoutMs: this.timeoutMs });
    const choice = { load: async () => this.saved.at(-1), save: async (next: EkChoice) => void this.saved.push(next) };
    this.#attestor = new TpmAgentAttestor({ log: silentLogger, device, choice }, { ek, ak });
  }

  async begin(signal: AbortSignal = new AbortController().signal): Promise<Begun> {
    const csrPublicKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    return { ceremony: await this.#attestor.begin({ csrPublicKey }, signal), csrPublicKey };
  }
}

/** A server that trusts the vendor of these TPMs. */
export class SwtpmBench implements AsyncDisposable {
  // Made when they are needed: a suite that is skipped shall leave no folders.
  #server: SoftServer | undefined;
  #folder: string | undefined;
  readonly #tpms: Swtpm[] = [];
  #ca: Promise<SwtpmCa> | undefined;
  #count = 0;

  get server(): SoftServer {
    this.#server ??= new SoftServer();
    return this.#server;
  }

  get folder(): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), "swt-"));
    return this.#folder;
  }

  async start(options: Omit<SwtpmOptions, "folder" | "ca"> = {}): Promise<Swtpm> {
    this.#ca ??= this.#makeCa();
    const tpm = await Swtpm.start({ ...options, ca: await this.#ca, folder: join(this.folder, `${this.#count++}`) });
    this.#tpms.push(tpm);
    return tpm;
  }

  async #makeCa(): Promise<SwtpmCa> {
    const ca = await SwtpmCa.create(join(this.folder, "ca"));
    for (const [number, path] of ca.roots.entries()) copyFileSync(path, join(this.server.caPath, `swtpm-${number}`));
    return ca;
  }

  /** The server's half over a ceremony that has begun; `before` runs before each answer. */
  async judge(
    { ceremony, csrPublicKey }: Begun,
    setting: ServerSetting = {},
    lines: Line[] = [],
    before: (step: number) => Promise<void> | void = () => {},
  ): Promise<AttestResult> {
    const half = await this.server.attestor(setting, lines);
    let step = 0;
    const result = await half.attest(
      { payload: ceremony.payload, csrPublicKey, peerAddress: "", nodes: nodesWith(setting.facts) },
      async (challenge) => {
        await before(step++);
        return await ceremony.respond(challenge);
      },
    );
    result.enrolled?.();
    return result;
  }

  async attest(tpm: Swtpm, agent: AgentSetting = {}, setting: ServerSetting = {}, lines: Line[] = []) {
    return await this.judge(await new SwtpmAgent(tpm.tcti, agent).begin(), setting, lines);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#tpms.map((tpm) => tpm[Symbol.asyncDispose]()));
    this.#server?.[Symbol.dispose]();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}
