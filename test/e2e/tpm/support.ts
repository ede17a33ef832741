/** A server, an agent and a software TPM in a folder of their own. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../../../scripts/lib/programs.ts";
import { Swtpm, type SwtpmOptions } from "../../../scripts/lib/swtpm.ts";
import { makeTpmSite, shareBundle, type TpmSite, type TpmSiteOptions } from "../../../scripts/lib/tpm-site.ts";
import { admin, Folder, PROGRAMS, type Programs, startAgent, startServer } from "../support.ts";

/** Why no software TPM can be had; `undefined` when one can. */
export const NO_SWTPM = Swtpm.missing();

/** What a trio starts with. */
export interface TrioOptions extends TpmSiteOptions {
  readonly tpm?: Omit<SwtpmOptions, "folder">;
  readonly programs?: Programs;
}

/** The three, started one by one. */
export class Trio implements AsyncDisposable {
  readonly site: TpmSite;
  readonly tpm: Swtpm;
  readonly programs: Programs;
  readonly #stack: AsyncDisposableStack;

  private constructor(site: TpmSite, tpm: Swtpm, programs: Programs, stack: AsyncDisposableStack) {
    this.site = site;
    this.tpm = tpm;
    this.programs = programs;
    this.#stack = stack;
  }

  /** Makes the TPM and the configuration; neither program runs yet. */
  static async make({ tpm: tpmOptions, programs = PROGRAMS, ...options }: TrioOptions = {}): Promise<Trio> {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(new Folder());
    const tpmFolder = join(folder.path, "tpm");
    mkdirSync(tpmFolder);
    const tpm = stack.use(await Swtpm.start({ ...tpmOptions, folder: tpmFolder }));
    const site = await makeTpmSite(folder.path, tpm, options);
    return new Trio(site, tpm, programs, stack.move());
  }

  /** Starts a server and tells the agent whom to trust. */
  async startServer(): Promise<Daemon> {
    const server = this.#stack.use(await startServer(this.site, this.programs.server));
    await shareBundle(this.site, this.programs.server);
    return server;
  }

  /** Starts an agent, which attests before it is healthy. */
  async startAgent(): Promise<Daemon> {
    return this.#stack.use(await startAgent(this.site, [], this.programs.agent));
  }

  /** The ID of the one agent that the server knows. */
  async agentId(): Promise<string> {
    const id = /^SPIFFE ID\s*: (\S+)$/m.exec(await this.admin("agent", "list"))?.[1];
    if (id === undefined) throw new Error("the server knows no agent");
    return id;
  }

  /** The serial number of the agent's SVID, which changes with every attestation. */
  async serial(): Promise<string> {
    return /^Serial number\s*: (\d+)$/m.exec(await this.admin("agent", "list"))?.[1] ?? "";
  }

  /** The agent's selectors, as the server has them. */
  async selectors(): Promise<readonly string[]> {
    const shown = await this.admin("agent", "show", "-spiffeID", await this.agentId());
    return [...shown.matchAll(/^Selectors\s*: (\S.*)$/gm)].map((match) => match[1] ?? "");
  }

  /** Runs a command of the server. */
  admin(...args: readonly string[]): Promise<string> {
    return admin(this.site, args, this.programs.server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
