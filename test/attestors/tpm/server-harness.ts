/** The real server's half over folders of its own, and what it says to a ceremony. */
import { createHash, createPublicKey } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AttestResult, NodeFacts } from "../../../src/attestors/node.ts";
import { EK_KINDS, type TpmServerConfig } from "../../../src/attestors/tpm/config.ts";
import { EkDirectory } from "../../../src/attestors/tpm/ek-directory.ts";
import { TpmServerAttestor } from "../../../src/attestors/tpm/server.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import type { LogFields, Logger } from "../../../src/lib/log.ts";
import { type Random, systemRandom } from "../../../src/lib/random.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { pemEncode } from "../../../src/pki/pem.ts";
import { TD } from "../../fakes/entries.ts";
import { type Json, SoftAgent, type Spoil } from "../../fakes/soft-tpm/agent.ts";
import { makeVendor, type Vendor } from "../../fakes/soft-tpm/vendor.ts";

type Options = Pick<TpmServerConfig, "ekKinds" | "profiles" | "quoted" | "requireQuote" | "pcrSelectors">;
const OPTIONS: Options = {
  ekKinds: EK_KINDS,
  profiles: [],
  quoted: { bank: "sha256", indices: [0, 7] },
  requireQuote: false,
  pcrSelectors: false,
};

/** A line that was logged. */
export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps all that is logged. */
export function recordingLogger(lines: Line[]): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields });
  const log: Logger = {
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
    trace: at("trace"),
    named: () => log,
  };
  return log;
}

/** What the server is told, and what it knows of the node. */
export interface ServerSetting extends Partial<Options> {
  /** Which folders it has. Default: vendors' certificates alone. */
  readonly folders?: "ca" | "hash" | "both";
  /** Whether the endorsement key is listed; only with a folder of hashes. */
  readonly listed?: boolean;
  readonly facts?: NodeFacts;
  /** Whether the vendor's certificates may lack the TCG's names. */
  readonly nameless?: boolean;
}

/** What came of a ceremony. */
export interface Ceremony {
  readonly agent: SoftAgent;
  readonly result: Promise<AttestResult>;
  readonly lines: readonly Line[];
  /** What the server asked, as JSON. */
  readonly challenges: readonly Json[];
}

/** A vendor, a folder that trusts it, and one of hashes. */
export class SoftServer implements Disposable {
  readonly vendor: Vendor = makeVendor();
  readonly caPath: string;
  readonly hashPath: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "tpm-"));

  constructor() {
    this.caPath = join(this.#folder, "certs");
    this.hashPath = join(this.#folder, "hashes");
    for (const path of [this.caPath, this.hashPath]) mkdirSync(path);
    writeFileSync(join(this.caPath, "root.pem"), pemEncode("CERTIFICATE", this.vendor.root.der));
    writeFileSync(join(this.caPath, "issuer.der"), this.vendor.issuer.der);
  }

  /** Admits a key by its hash. */
  list(spki: Uint8Array): void {
    writeFileSync(join(this.hashPath, createHash("sha256").update(spki).digest("hex")), "");
  }

  /** Trusts another CA. */
  trust(der: Uint8Array): void {
    writeFileSync(join(this.caPath, `${createHash("sha256").update(der).digest("hex")}.der`), der);
  }

  /** The attestor as it is configured. */
  async attestor(
    setting: ServerSetting = {},
    lines: Line[] = [],
    { clock = systemClock, random = systemRandom }: { readonly clock?: Clock; readonly random?: Random } = {},
  ): Promise<TpmServerAttestor> {
    const { folders = "ca", nameless = false, listed: _, facts: __, ...policy } = { ...OPTIONS, ...setting };
    const log = recordingLogger(lines);
    const directory = await EkDirectory.open(
      {
        caPath: folders === "hash" ? undefined : this.caPath,
        hashPath: folders === "ca" ? undefined : this.hashPath,
      },
      { clock, log },
    );
    const root = createHash("sha256").update(parseCertificate(this.vendor.root.der).spki).digest("hex");
    const roots = nameless ? { namelessRoots: new Set([root]) } : {};
    return new TpmServerAttestor({ clock, random, log, trustDomain: TD, directory, ...roots }, policy);
  }

  /** Runs a whole ceremony. */
  async run(spoil: Spoil = {}, setting: ServerSetting = {}): Promise<Ceremony> {
    const lines: Line[] = [];
    const challenges: Json[] = [];
    const agent = new SoftAgent(this.vendor, spoil);
    if (setting.listed === true) this.list(agent.ek.spki);
    const attestor = await this.attestor(setting, lines);
    const judged = attestor.attest(requestOf(agent, setting.facts), (challenge) => {
      challenges.push(JSON.parse(Buffer.from(challenge).toString()));
      return agent.respond(challenge);
    });
    const result = judged.then((attested) => {
      attested.enrolled?.();
      return attested;
    });
    // Whoever looks at the result later shall be the first to.
    result.catch(() => {});
    return { agent, result, lines, challenges };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A store that knows these facts of every node, or no node. */
export function nodesWith(facts?: NodeFacts): Parameters<TpmServerAttestor["attest"]>[0]["nodes"] {
  return {
    isAttested: async () => facts !== undefined,
    factsOf: async () => facts,
    consumeJoinToken: async () => "unknown",
  };
}

/** The request of an agent whose node was last seen with these facts. */
export function requestOf(agent: SoftAgent, facts?: NodeFacts): Parameters<TpmServerAttestor["attest"]>[0] {
  const csrPublicKey = createPublicKey({ key: Buffer.from(agent.csr.spki), format: "der", type: "spki" });
  return { payload: agent.payload, csrPublicKey, peerAddress: "192.0.2.1", nodes: nodesWith(facts) };
}
