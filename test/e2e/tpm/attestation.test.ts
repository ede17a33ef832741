/** A node joins by its TPM with the real programs: what the operator sees, and what happens when it boots something else. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fetchIds } from "../../../scripts/lib/local-rpc.ts";
import { startAgent } from "../support.ts";
import { NO_SWTPM, Trio } from "./support.ts";

const ID = "spiffe://example.org/web";
/** What the firmware measures, and what PCRs hold then. */
const LOADER = Buffer.alloc(32, 7);
const BOOTED = createHash("sha256").update(Buffer.alloc(32)).update(LOADER).digest("hex");
const SELF = process.getuid?.() ?? 0;
const REFUSED = /PermissionDenied: attestation failed/;

describe.skipIf(NO_SWTPM !== undefined)(`a node with a TPM${NO_SWTPM === undefined ? "" : ` (${NO_SWTPM})`}`, () => {
  test("joins without a secret, renews by new ceremonies, and comes back after a reboot", async () => {
    await using trio = await Trio.make({ server: '  agent_ttl = "10s"' });
    const server = await trio.startServer();
    const agent = await trio.startAgent();
    expect(await trio.agentId()).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/tpm\/[0-9a-f]{64}$/);
    const hash = (await trio.agentId()).split("/").at(-1);
    expect(await trio.selectors()).toEqual([
      expect.stringMatching(/^tpm:manufacturer:id:/),
      "tpm:model:swtpm",
      `tpm:pub_hash:${hash}`,
      expect.stringMatching(/^tpm:version:id:/),
    ]);
    const first = await trio.serial();
    await agent.until("a second ceremony", async () => (await trio.serial()) !== first);
    expect(server.log()).not.toContain("booted anew");
    await trio.tpm.restart();
    await server.until("a ceremony after the reboot", () => server.log().includes("The node was booted anew"));
    expect(await trio.tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
  });

  test("is refused once it boots something else, and goes on serving what it has", async () => {
    const policy = `pcr_policy { "as-shipped" { sha256 { "4" = "${BOOTED}" "7" = ["${"ab".repeat(32)}", "${BOOTED}"] } } }`;
    await using trio = await Trio.make({ server: '  agent_ttl = "8s"', serverPlugin: policy });
    const boot = async (): Promise<void> => {
      for (const index of [4, 7]) await trio.tpm.extend("sha256", index, LOADER);
    };
    await boot();
    const server = await trio.startServer();
    const agent = await trio.startAgent();
    expect(await trio.selectors()).toContain("tpm:policy:as-shipped");
    await trio.admin(
      "entry",
      "create",
      "-parentID",
      await trio.agentId(),
      "-spiffeID",
      ID,
      "-selector",
      `unix:uid:${SELF}`,
    );
    const isServed = async (): Promise<boolean> => {
      const answer = await fetchIds(trio.site.agentSocket);
      return typeof answer !== "number" && answer.includes(ID);
    };
    await agent.until("the workload's SVID", isServed);

    await trio.tpm.extend("sha256", 4, Buffer.alloc(32, 1));
    await agent.until("the refusal", () => REFUSED.test(agent.log()));
    expect(server.log()).toMatch(
      /tpm: pcr-policy: no profile is met: as-shipped differs in sha256:4 \(is [0-9a-f]{64}\)/,
    );
    expect(agent.log()).not.toMatch(/as-shipped|sha256:4/);
    await agent.until("the end of the agent's SVID", () => agent.log().includes("The server refuses this agent"));
    expect(await isServed()).toBe(true);

    // The machine boots what it should again: nobody has to evict anything.
    await trio.tpm.restart();
    await boot();
    await agent.until(
      "a new SVID",
      () => afterLast(agent.log(), "The server refuses").includes("The agent SVID was renewed"),
      30_000,
    );
    expect(await isServed()).toBe(true);
  }, 90_000);

  test("is known by the same key when a certificate for another one appears", async () => {
    await using trio = await Trio.make({ tpm: { ekCertificates: [] } });
    await trio.startServer();
    await expect(trio.startAgent()).rejects.toThrow(REFUSED);
    const hash = /pub_hash=([0-9a-f]{64})/.exec(logOf(trio))?.[1] ?? "";
    writeFileSync(join(trio.site.hashPath, hash), "");
    const agent = await trio.startAgent();
    expect(await trio.agentId()).toContain(hash);
    await agent.stop();
  });
});

describe.skipIf(NO_SWTPM !== undefined)("trouble with the TPM", () => {
  const cases: readonly [name: string, tcti: string, message: RegExp][] = [
    ["no device", "device:/dev/no-such-tpm", /TPM at device:\/dev\/no-such-tpm: there is no TPM/],
    ["no device but a file", "device:/etc/hostname", /TPM at device:\/etc\/hostname: there is no TPM/],
    ["a name that nobody knows", "carrier-pigeon:coop=3", /TPM at carrier-pigeon:coop=3: no transport of that name/],
  ];
  test.for(cases)("%s", async ([_name, tcti, message]) => {
    await using trio = await Trio.make({ agentPlugin: 'timeout = "2s"' });
    await trio.startServer();
    const conf = trio.site.agentConfig.replace("agent.conf", "other.conf");
    writeFileSync(conf, readFileSync(trio.site.agentConfig, "utf8").replace(trio.tpm.tcti, tcti));
    await expect(startAgent({ ...trio.site, agentConfig: conf })).rejects.toThrow(message);
  });

  test("a TPM that hangs is waited for until its deadline, again and again, and used when it answers", async () => {
    await using trio = await Trio.make({ agentPlugin: 'timeout = "1s"' });
    await trio.startServer();
    trio.tpm.pause();
    const starting = trio.startAgent();
    await untilLogged(trio, "the TPM does not answer");
    trio.tpm.resume();
    await starting;
    expect(await trio.agentId()).toContain("/spire/agent/tpm/");
  }, 60_000);
});

function logOf(trio: Trio): string {
  return readFileSync(logFile(trio), "utf8");
}

function logFile(trio: Trio): string {
  return join(trio.site.folder, "agent.log");
}

/** Waits for a line of an agent that is not healthy yet. */
async function untilLogged(trio: Trio, text: string): Promise<void> {
  await expect.poll(() => existsSync(logFile(trio)) && logOf(trio).includes(text), { timeout: 20_000 }).toBe(true);
}

function afterLast(text: string, mark: string): string {
  return text.slice(text.lastIndexOf(mark));
}
