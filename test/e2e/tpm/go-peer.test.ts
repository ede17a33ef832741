/**
 * Go's TPM libraries as a peer: `tpm-peer` drives google/go-attestation over the software TPM's socket. It plays the
 * agent half of the SPIFFE-hosted plugin towards our server, honestly and not, and verifies our quotes.
 */

import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TpmAgentAttestor } from "../../../src/attestors/tpm/agent.ts";
import { TpmDevice } from "../../../src/attestors/tpm/device/tpm-device.ts";
import { quoteBinding } from "../../../src/attestors/tpm/structures/bindings.ts";
import { nameOf, parsePublicArea } from "../../../src/attestors/tpm/structures/public-area.ts";
import { readEndorsementKey } from "../../../src/attestors/tpm/verify/ek.ts";
import { makeCredential } from "../../../src/attestors/tpm/verify/make-credential.ts";
import { encodeChallenge, parsePayload, parseQuote } from "../../../src/attestors/tpm/wire.ts";
import { loadNative } from "../../../src/cli/native.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import { run } from "../support.ts";
import { NO_SWTPM, Trio } from "./support.ts";

const SOURCE = resolve(import.meta.dirname, "../tpm-peer");
let trio: Trio;
let peer: string | undefined;
let why = NO_SWTPM;

beforeAll(async () => {
  if (why !== undefined) return;
  trio = await Trio.make({ server: "  ratelimit { attestation = false }" });
  const folder = join(trio.site.folder, "go");
  cpSync(SOURCE, folder, { recursive: true });
  const binary = join(folder, "tpm-peer");
  const built = await run("go", ["build", "-C", folder, "-o", binary, "."], {
    env: { ...process.env, GOFLAGS: "-mod=mod" },
  }).catch(() => undefined);
  if (built === undefined) why = "go is not on PATH";
  else if (built.status !== 0) why = `tpm-peer could not be fetched or built: ${built.stderr.slice(0, 300)}`;
  else peer = binary;
  await trio.startServer();
}, 300_000);
afterAll(async () => {
  await trio?.[Symbol.asyncDispose]();
});

async function attest(...args: readonly string[]): Promise<{ status: number; said: Record<string, unknown> }> {
  const out = join(trio.site.folder, "out");
  mkdirSync(out, { recursive: true });
  const outcome = await run(peer ?? "", [
    "attest",
    "-server",
    `127.0.0.1:${trio.site.port}`,
    "-tpm",
    trio.tpm.socketPath,
    "-trust-domain",
    trio.site.trustDomain,
    "-out",
    out,
    ...args,
  ]);
  expect(outcome.stderr).toBe("");
  return { status: outcome.status, said: JSON.parse(outcome.stdout) as Record<string, unknown> };
}

describe("an agent that speaks the plugin's messages", () => {
  test.for(["", "-ak ecc", "-old-pem"])("is admitted: %s", async (flags, { skip }) => {
    if (peer === undefined) return skip(why);
    const { status, said } = await attest(...flags.split(" ").filter((flag) => flag !== ""));
    expect([status, said]).toEqual([
      0,
      {
        spiffe_id: expect.stringMatching(/^spiffe:\/\/example\.org\/spire\/agent\/tpm\/[0-9a-f]{64}$/),
        reattestable: true,
      },
    ]);
  });

  test.for([
    "wrong-secret",
    "no-secret",
    "ak-signature",
    "ak-public",
    "create-data",
    "create-attestation",
    "other-ek-key",
    "no-certificate",
  ])("is refused for %s", async (tamper, { skip }) => {
    if (peer === undefined) return skip(why);
    for (const ak of ["rsa", "ecc"]) {
      const { status, said } = await attest("-ak", ak, "-tamper", tamper);
      expect([status, said]).toEqual([1, { code: "PermissionDenied", message: "attestation failed" }]);
    }
  });

  test("is refused for a request that its key did not sign", async ({ skip }) => {
    if (peer === undefined) return skip(why);
    const { status, said } = await attest("-tamper", "csr-signature");
    expect([status, said.code]).toEqual([1, "InvalidArgument"]);
  });
});

describe("go-attestation's verdict on our quotes", () => {
  const cases = [
    ["ec-p256", "right", true],
    ["rsa-2048", "right", true],
    ["ec-p256", "another nonce", false],
    ["ec-p256", "another PCR value", false],
  ] as const;
  test.for(cases)("attestation key %s, %s: %s", async ([ak, how, ok], { skip }) => {
    if (peer === undefined) return skip(why);
    const files = await quoteFiles(ak);
    const nonce = how === "another nonce" ? Buffer.alloc(32).toString("hex") : files.nonce;
    const pcrs = how === "another PCR value" ? { ...files.pcrs, 0: "ff".repeat(32) } : files.pcrs;
    const file = join(files.folder, "pcrs.json");
    writeFileSync(file, JSON.stringify({ sha256: pcrs }));
    const said = await run(peer, [
      "verify-quote",
      "-ak",
      join(files.folder, "ak"),
      "-quote",
      join(files.folder, "quote"),
      "-signature",
      join(files.folder, "signature"),
      "-nonce",
      nonce,
      "-pcrs",
      file,
    ]);
    expect([said.stderr, said.status, JSON.parse(said.stdout)]).toMatchObject(["", ok ? 0 : 1, { ok }]);
  });
});

/** Runs our agent's half against a server's half of a few lines, and writes down what it quoted. */
async function quoteFiles(ak: "ec-p256" | "rsa-2048") {
  const device = new TpmDevice({
    clock: systemClock,
    opener: loadNative(),
    tcti: trio.tpm.tcti,
    timeoutMs: 20_000,
  });
  const choice = { load: async () => undefined, save: async () => {} };
  const attestor = new TpmAgentAttestor({ log: silentLogger, device, choice }, { ek: undefined, ak });
  const csrPublicKey = createPublicKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  await using ceremony = await attestor.begin({ csrPublicKey }, AbortSignal.timeout(60_000));
  const payload = parsePayload(ceremony.payload);
  const area = parsePublicArea(payload.ak.public);
  const credential = makeCredential(readEndorsementKey(payload.ek), nameOf(area), Buffer.alloc(32, 7), (n) =>
    Buffer.alloc(n, 9),
  );
  await ceremony.respond(encodeChallenge({ kind: "credential", credential }));
  const nonce = Buffer.alloc(32, 5);
  const selection = [{ bank: "sha256", indices: [0, 1, 2, 3, 4, 5, 6, 7, 14, 23] }] as const;
  const { quoted, signature, pcrs } = parseQuote(
    await ceremony.respond(encodeChallenge({ kind: "quote", nonce, selection })),
  );
  const folder = join(trio.site.folder, `quote-${ak}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "ak"), payload.ak.public);
  writeFileSync(join(folder, "quote"), quoted);
  writeFileSync(join(folder, "signature"), signature);
  const binding = quoteBinding(nonce, csrPublicKey.export({ type: "spki", format: "der" }));
  const values = Object.fromEntries(
    [...(pcrs.get("sha256") ?? [])].map(([index, value]) => [index, Buffer.from(value).toString("hex")]),
  );
  return { folder, nonce: Buffer.from(binding).toString("hex"), pcrs: values };
}
