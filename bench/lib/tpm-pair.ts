/** Servers that admit nodes by their TPM: ours, and SPIRE's with the SPIFFE-hosted plugin where there is one. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SiteOptions } from "../../scripts/lib/programs.ts";
import { type EkKind, Swtpm } from "../../scripts/lib/swtpm.ts";
import { makeTpmSite } from "../../scripts/lib/tpm-site.ts";
import { Pair } from "./pair.ts";
import type { Context } from "./scenario.ts";
import type { Subject } from "./subject.ts";

/** What a server is told of the nodes' TPMs. */
export interface TpmPairOptions extends Pick<SiteOptions, "server"> {
  /** Files of the vendor's certificates. */
  readonly roots: readonly string[];
  /** The agent's TPM. */
  readonly tcti?: string;
  /** What stands in the server's `NodeAttestor "tpm"`, as `attestorOf` gives it. */
  readonly attestor: string;
}

/** What the subject's `NodeAttestor "tpm"` needs besides its data; `undefined` and a note where it has none. */
export function attestorOf(subject: Subject, context: Context): string | undefined {
  if (subject.name === "holdfast") return "";
  const plugin = process.env.SPIRE_TPM_PLUGIN;
  if (plugin === undefined) {
    context.note("no such attestor built in; SPIRE_TPM_PLUGIN may name the server half of the SPIFFE-hosted plugin");
    return undefined;
  }
  const checksum = createHash("sha256").update(readFileSync(plugin)).digest("hex");
  context.note("with the SPIFFE-hosted plugin, whose process counts; it asks for no quote");
  return `plugin_cmd = "${plugin}"\n    plugin_checksum = "${checksum}"`;
}

/** Whether the row is about our program alone; the note says so. */
export function isOursAlone(subject: Subject, context: Context): boolean {
  if (subject.name === "spire") context.note("has nothing of the kind");
  return subject.name === "holdfast";
}

/** Starts a server without an agent. */
export function startTpmPair(subject: Subject, context: Context, options: TpmPairOptions): Promise<Pair> {
  const { roots, tcti = "", attestor, ...site } = options;
  return Pair.start(subject, context, {
    ...site,
    serverOnly: true,
    makeSite: (folder, given) => makeTpmSite(folder, { roots, tcti }, { ...given, serverPluginProgram: attestor }),
  });
}

/** Writes a vendor's certificates; the files' paths. */
export function writeRoots(context: Context, pems: readonly string[]): readonly string[] {
  return pems.map((pem, index) => {
    const path = join(context.folder, `vendor-${index}.pem`);
    writeFileSync(path, pem);
    return path;
  });
}

/** Whether the row about our program and a real software TPM can be measured; a note says why not. */
export function hasSwtpm(subject: Subject, context: Context): boolean {
  if (!isOursAlone(subject, context)) return false;
  const missing = Swtpm.missing();
  if (missing !== undefined) context.note(missing);
  return missing === undefined;
}

/** Starts a TPM with certificates for these endorsement keys. */
export function startSwtpm(context: Context, ekCertificates: readonly EkKind[]): Promise<Swtpm> {
  const folder = join(context.folder, "tpm");
  mkdirSync(folder);
  return Swtpm.start({ folder, ekCertificates });
}
