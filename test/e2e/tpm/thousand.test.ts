/** A thousand ceremonies on one TPM without a resource manager: whatever one of them left there would end the rest. */
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Swtpm } from "../../../scripts/lib/swtpm.ts";
import { TpmAgentAttestor } from "../../../src/attestors/tpm/agent.ts";
import { TpmDevice } from "../../../src/attestors/tpm/device/tpm-device.ts";
import { EkDirectory } from "../../../src/attestors/tpm/ek-directory.ts";
import { TpmServerAttestor } from "../../../src/attestors/tpm/server.ts";
import { loadNative } from "../../../src/cli/native.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { Folder } from "../support.ts";
import { NO_SWTPM } from "./support.ts";

const COUNT = 1_000;

test.skipIf(NO_SWTPM !== undefined)(
  `${COUNT} attestations leave no handle in the TPM and no file open${NO_SWTPM === undefined ? "" : ` (${NO_SWTPM})`}`,
  { timeout: 300_000 },
  async () => {
    using folder = new Folder();
    await using tpm = await Swtpm.start({ folder: folder.path, ekCertificates: ["p256"], persistentEk: ["p256"] });
    const vendors = join(folder.path, "vendors");
    mkdirSync(vendors);
    for (const [index, root] of tpm.roots.entries()) copyFileSync(root, join(vendors, `${index}.pem`));
    const directory = await EkDirectory.open(
      { caPath: vendors, hashPath: undefined },
      { clock: systemClock, log: silentLogger },
    );
    const trustDomain = parseTrustDomain("example.org");
    const deps = { clock: systemClock, random: systemRandom, log: silentLogger, trustDomain, directory };
    const quoted = { bank: "sha256", indices: [0, 7] } as const;
    const server = new TpmServerAttestor(deps, {
      ekKinds: ["ec-p256"],
      profiles: [],
      quoted,
      requireQuote: true,
      pcrSelectors: false,
    });
    const device = new TpmDevice({ clock: systemClock, opener: loadNative(), tcti: tpm.tcti, timeoutMs: 20_000 });
    const choice = { load: async () => undefined, save: async () => {} };
    const agent = new TpmAgentAttestor({ log: silentLogger, device, choice }, { ek: undefined, ak: "ec-p256" });
    const { publicKey: csrPublicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const nodes = {
      factsOf: async () => undefined,
      isAttested: async () => false,
      consumeJoinToken: async () => "unknown" as const,
    };
    const signal = AbortSignal.timeout(280_000);
    const filesBefore = readdirSync("/proc/self/fd").length;
    const ids = new Set<string>();
    for (let count = 0; count < COUNT; count++) {
      await using attestation = await agent.begin({ csrPublicKey }, signal);
      const request = { payload: attestation.payload, csrPublicKey, peerAddress: "127.0.0.1", nodes };
      ids.add((await server.attest(request, (challenge) => attestation.respond(challenge))).agentId);
    }
    expect(ids.size).toBe(1);
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(filesBefore);
  },
);
