/**
 * Interoperability with the SPIFFE-hosted `tpm` plugin: our agent joins a stock `spire-server`, from `PATH`, that runs
 * the plugin's server half, which `SPIRE_TPM_PLUGIN` names. The plugin's agent half opens /dev/tpm* only: that
 * direction is played by `tpm-peer`, and by the stock programs where such a device exists.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PROGRAMS } from "../support.ts";
import { NO_SWTPM, Trio, type TrioOptions } from "./support.ts";

const plugin = process.env.SPIRE_TPM_PLUGIN;
const spireServer = onPath("spire-server");
const why =
  NO_SWTPM ??
  (spireServer === undefined ? "spire-server is not on PATH" : undefined) ??
  (plugin === undefined ? "SPIRE_TPM_PLUGIN does not name the plugin's server half" : undefined);

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

function stock(options: TrioOptions): Promise<Trio> {
  const checksum = createHash("sha256")
    .update(readFileSync(plugin ?? ""))
    .digest("hex");
  return Trio.make({
    ...options,
    server: `  ratelimit { attestation = false }\n${options.server ?? ""}`,
    serverPluginProgram: `plugin_cmd = "${plugin}"\n    plugin_checksum = "${checksum}"`,
    programs: { server: spireServer ?? "", agent: PROGRAMS.agent },
  });
}

describe.skipIf(why !== undefined)(`holdfast-agent at a stock server${why === undefined ? "" : ` (${why})`}`, () => {
  test.for(["ec-p256", "rsa-2048"])(
    "joins with an attestation key of kind %s, and renews",
    { timeout: 90_000 },
    async (ak) => {
      await using trio = await stock({ agentPlugin: `ak = "${ak}"`, server: '  agent_ttl = "20s"' });
      await trio.startServer();
      const agent = await trio.startAgent();
      expect(await trio.agentId()).toMatch(/\/spire\/agent\/tpm\/[0-9a-f]{64}$/);
      const first = await trio.serial();
      await agent.until("a second ceremony", async () => (await trio.serial()) !== first, 40_000);
      expect(await trio.tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
    },
  );

  test("joins with an endorsement key of P-256", async () => {
    await using trio = await stock({ tpm: { ekCertificates: ["p256"] } });
    await trio.startServer();
    await trio.startAgent();
    expect(await trio.agentId()).toMatch(/\/spire\/agent\/tpm\/[0-9a-f]{64}$/);
  });

  test("joins by its key's hash, without a certificate", async () => {
    await using trio = await stock({ tpm: { ekCertificates: [] } });
    await trio.startServer();
    await expect(trio.startAgent()).rejects.toThrow(/could not be attested|no healthy answer/);
    const log = readFileSync(join(trio.site.folder, "agent.log"), "utf8");
    writeFileSync(join(trio.site.hashPath, /pub_hash=([0-9a-f]{64})/.exec(log)?.[1] ?? ""), "");
    await trio.startAgent();
    expect(await trio.agentId()).toMatch(/\/spire\/agent\/tpm\/[0-9a-f]{64}$/);
  });
});

const device = ["/dev/tpmrm0", "/dev/tpm0"].find((path) => existsSync(path));
const agentPlugin = process.env.SPIRE_TPM_AGENT_PLUGIN;
const spireAgent = onPath("spire-agent");
const whyNotAgent =
  (device === undefined ? "this machine has no TPM device, and the plugin opens nothing else" : undefined) ??
  (spireAgent === undefined ? "spire-agent is not on PATH" : undefined) ??
  (agentPlugin === undefined ? "SPIRE_TPM_AGENT_PLUGIN does not name the plugin's agent half" : undefined);

test.skipIf(whyNotAgent !== undefined)(
  `a stock agent with the plugin joins holdfast-server${whyNotAgent === undefined ? "" : ` (${whyNotAgent})`}`,
  async () => {
    const checksum = createHash("sha256")
      .update(readFileSync(agentPlugin ?? ""))
      .digest("hex");
    await using trio = await Trio.make({ programs: { server: PROGRAMS.server, agent: spireAgent ?? "" } });
    const config = readFileSync(trio.site.agentConfig, "utf8");
    const data = `plugin_data {\n      tcti = "${trio.tpm.tcti}"`;
    writeFileSync(
      trio.site.agentConfig,
      config.replace(data, `plugin_cmd = "${agentPlugin}"\n    plugin_checksum = "${checksum}"\n    plugin_data {`),
    );
    const server = await trio.startServer();
    const starting = trio.startAgent();
    // The machine's own TPM may have no certificate, or one of a vendor that is not known here: its hash will do.
    const hash = (): string | undefined => /the key ([0-9a-f]{64}) is not listed/.exec(server.log())?.[1];
    starting.catch(() => {});
    await server.until(
      "an attestation",
      () => hash() !== undefined || server.log().includes("attestation request completed"),
    );
    if (hash() === undefined) await starting;
    else {
      writeFileSync(join(trio.site.hashPath, hash() ?? ""), "");
      await trio.startAgent();
    }
    expect(await trio.agentId()).toMatch(/\/spire\/agent\/tpm\/[0-9a-f]{64}$/);
  },
);
