/** The node joins by a software TPM, then boots something else, and then what it should again. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { admin, type Daemon, type Site, type SiteOptions, startAgent } from "../lib/programs.ts";
import { Swtpm } from "../lib/swtpm.ts";
import { makeTpmSite, shareBundle } from "../lib/tpm-site.ts";
import type { Joining, Stage } from "./joining.ts";
import { step, verify } from "./steps.ts";

/** Short, so that ceremonies fall into the demo: one each half of it. */
const AGENT_TTL = "24s";
const PROFILE = "as-shipped";
/** PCR 4 is where a PC's firmware measures the boot loader. */
const BOOT_PCR = 4;
const BOOT_LOADER = createHash("sha256").update("boot loader 1.0").digest();
const OTHER_BOOT_LOADER = createHash("sha256").update("something else").digest();
const WAIT_MS = 40_000;

export class JoinByTpm implements Joining {
  readonly #stack = new AsyncDisposableStack();
  #tpm: Swtpm | undefined;
  #measured = "";

  /** The running TPM. */
  get #running(): Swtpm {
    if (this.#tpm === undefined) throw new Error("there is no TPM");
    return this.#tpm;
  }

  async prepare(folder: string): Promise<void> {
    await step("Switch on a machine with a TPM 2.0 (swtpm, with a vendor CA of its own)", async (say) => {
      const path = join(folder, "tpm");
      mkdirSync(path);
      this.#tpm = this.#stack.use(await Swtpm.start({ folder: path }));
      say(`its firmware measures the boot loader into PCR ${BOOT_PCR}, as a PC's does`);
      this.#measured = await this.#boot(BOOT_LOADER);
      return `endorsement key certified by the vendor; sha256 PCR ${BOOT_PCR} is ${this.#measured.slice(0, 16)}…`;
    });
  }

  makeSite(folder: string, options: SiteOptions): Promise<Site> {
    return makeTpmSite(folder, this.#running, {
      ...options,
      server: `  agent_ttl = "${AGENT_TTL}"\n${options.server ?? ""}`,
      serverPlugin: `pcr_policy { "${PROFILE}" { sha256 { "${BOOT_PCR}" = ["${this.#measured}"] } } }`,
    });
  }

  async join(site: Site): Promise<{ agent: Daemon; agentId: string }> {
    let joined: { agent: Daemon; agentId: string } | undefined;
    await step("Join the node: nothing secret on its disk, its TPM is the proof", async (say) => {
      await shareBundle(site);
      say("the server knows the vendor's certificate, and one PCR policy:");
      say(`  pcr_policy { "${PROFILE}" { sha256 { "${BOOT_PCR}" = ["${this.#measured.slice(0, 16)}…"] } } }`);
      say("holdfast-agent run: credential activation, then a quote bound to the server's nonce and to the CSR");
      const agent = await startAgent(site);
      const agentId = /^SPIFFE ID\s*: (\S+)$/m.exec(await admin(site, ["agent", "list"]))?.[1] ?? "";
      joined = { agent, agentId };
      verify(agentId.includes("/spire/agent/tpm/"), "the server does not list the agent");
      return `attested as ${agentId}`;
    });
    if (joined === undefined) throw new Error("no agent");
    const { agentId } = joined;
    await step("What the server learned: the TPM's maker, the policy it meets, and the PCRs it quoted", async (say) => {
      const shown = await admin(site, ["agent", "show", "-spiffeID", agentId]);
      const lines = shown.split("\n").filter((line) => /^(?:Selectors|Fact)/.test(line));
      for (const line of lines) say(line.replace(/^(.{20}tpm:pub_hash:.{16}).*$/, "$1…"));
      verify(shown.includes(`tpm:policy:${PROFILE}`), "the node has no selector of the policy");
      verify(shown.includes(`pcr:sha256:${BOOT_PCR}: ${this.#measured}`), "the quoted PCR is not what was measured");
      return "every value is covered by the TPM's signature";
    });
    return joined;
  }

  async afterwards(_site: Site, stage: Stage): Promise<void> {
    await step("The machine boots something else: its next attestation is refused", async (say) => {
      say(`PCR ${BOOT_PCR} is extended; the agent's SVID lives ${AGENT_TTL}, so it soon has to prove itself again`);
      await this.#running.extend("sha256", BOOT_PCR, OTHER_BOOT_LOADER);
      const server = stage.server();
      const before = server.log().length;
      const reason = (): string | undefined => /error="(tpm: pcr-policy: [^"]*)"/.exec(server.log().slice(before))?.[1];
      await server.until("refusal", () => reason() !== undefined, WAIT_MS);
      await stage.agent().until("refusal", () => /attestation failed/.test(stage.agent().log()));
      say(`the server's log: ${reason()?.replace(/\(is (.{16}).*\)/, "(is $1…)")}`);
      return "the agent heard only: attestation failed";
    });

    await step("What was served stays served: a new process of the workload gets its SVID", async () => {
      verify(await stage.isServed(), "the workload is not served any more");
      return "served; it would go on until the SVIDs that were signed expire";
    });

    await step("The machine boots what it should: it joins again, and nobody evicted anything", async (say) => {
      const server = stage.server();
      const before = server.log().length;
      await this.#running.restart();
      await this.#boot(BOOT_LOADER);
      await server.until(
        "attestation",
        () => server.log().slice(before).includes("Agent attestation request completed"),
        WAIT_MS,
      );
      const line = /msg="The node was booted anew[^"]*"[^\n]*/.exec(server.log().slice(before))?.[0] ?? "";
      verify(line !== "", "the server did not notice the reboot");
      const counts = /old_reset_count=(\d+).*? reset_count=(\d+)/.exec(line);
      say(
        `the server's log: The node was booted anew since it last attested (resets: ${counts?.[1]} → ${counts?.[2]})`,
      );
      verify(await stage.isServed(), "the workload is not served");
      return "attested anew, with a new attestation key, as always";
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** What firmware does at power-on. */
  async #boot(loader: Uint8Array): Promise<string> {
    await this.#running.extend("sha256", BOOT_PCR, loader);
    return Buffer.from(await this.#running.readPcr("sha256", BOOT_PCR)).toString("hex");
  }
}
