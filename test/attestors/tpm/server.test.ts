/** The server's half on proofs that hold: who is admitted, and what is told of them. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { id } from "../../fakes/entries.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { pcrValue, SoftAgent } from "../../fakes/soft-tpm/agent.ts";
import { AK_KINDS, EK_KINDS } from "../../fakes/soft-tpm/tpm.ts";
import { MODEL, makeVendor } from "../../fakes/soft-tpm/vendor.ts";
import { ext, NOW } from "../../pki/make.ts";
import { type Line, requestOf, SoftServer } from "./server-harness.ts";
import { expectRefusal } from "./vector.ts";

const server = new SoftServer();
afterAll(() => server[Symbol.dispose]());

const VENDOR = [`manufacturer:${MODEL.manufacturer}`, `model:${MODEL.model}`, `version:${MODEL.version}`];
const EXCEPTION = { san: null, eku: null, name: server.vendor.root.name };

function hashOf(spki: Uint8Array): string {
  return createHash("sha256").update(spki).digest("hex");
}

function tpm(...values: string[]): { type: string; value: string }[] {
  return values.map((value) => ({ type: "tpm", value }));
}

const combinations = EK_KINDS.flatMap((ek) => AK_KINDS.map((ak) => ({ ek, ak })));

describe.each(combinations)("endorsement key $ek, attestation key $ak", ({ ek, ak }) => {
  test("is admitted by its vendor's certificate", async () => {
    const { agent, result } = await server.run({ ek, ak });
    const hash = hashOf(agent.ek.spki);
    expect(await result).toEqual({
      agentId: id(`/spire/agent/tpm/${hash}`),
      selectors: tpm(`pub_hash:${hash}`, ...VENDOR),
      canReattest: true,
      facts: {
        firmware_version: "2016051100162800",
        reset_count: "7",
        restart_count: "1",
        "pcr:sha256:0": pcrValue("sha256", 0),
        "pcr:sha256:7": pcrValue("sha256", 7),
      },
      enrolled: expect.any(Function),
    });
  });

  test("is admitted by its hash without a certificate", async () => {
    const { agent, result } = await server.run({ ek, ak, certificate: null }, { folders: "hash", listed: true });
    const hash = hashOf(agent.ek.spki);
    expect(await result).toMatchObject({
      agentId: id(`/spire/agent/tpm/${hash}`),
      selectors: tpm(`pub_hash:${hash}`),
    });
  });
});

describe("how the key is sent", () => {
  test("certificate only: the key is the certificate's", async () => {
    const { agent, result } = await server.run({ publicKey: null });
    expect(await result).toMatchObject({ selectors: tpm(`pub_hash:${hashOf(agent.ek.spki)}`, ...VENDOR) });
  });

  test("the public key before the certificate", async () => {
    const { result } = await server.run({
      payload: (json) => {
        const blocks = Buffer.from(json.EK, "base64")
          .toString()
          .split(/(?<=-----END [A-Z ]+-----\n)/);
        expect(blocks).toHaveLength(2);
        return { ...json, EK: Buffer.from(blocks.toReversed().join("")).toString("base64") };
      },
    });
    expect((await result).selectors).toHaveLength(4);
  });

  test("listed while its certificate has expired, or is a stranger's: admitted, and nothing told of the model", async () => {
    for (const certificate of [{ notAfter: NOW - 1_000 }, { usage: null }]) {
      const { agent, result } = await server.run({ certificate }, { folders: "both", listed: true });
      expect((await result).selectors).toEqual(tpm(`pub_hash:${hashOf(agent.ek.spki)}`));
    }
  });

  test("listed where there is no folder of vendors: a certificate tells nothing", async () => {
    const { agent, result } = await server.run({}, { folders: "hash", listed: true });
    expect((await result).selectors).toEqual(tpm(`pub_hash:${hashOf(agent.ek.spki)}`));
  });

  test("listed and certified: the model is told", async () => {
    const { result } = await server.run({}, { folders: "both", listed: true });
    expect((await result).selectors).toHaveLength(4);
  });

  test.each([
    "a file that is broken",
    "a folder that is gone",
    "certificates of other vendors only",
    "no certificate at all",
  ])("listed, and in ca_path %s: admitted, and nothing told of the model", async (what) => {
    using own = new SoftServer();
    const lines: Line[] = [];
    const agent = new SoftAgent(own.vendor);
    own.list(agent.ek.spki);
    const clock = new FakeClock(NOW);
    const attestor = await own.attestor({ folders: "both" }, lines, { clock });
    rmSync(own.caPath, { recursive: true });
    if (!what.startsWith("a folder")) mkdirSync(own.caPath);
    if (what.startsWith("a file")) writeFileSync(join(own.caPath, "root.der"), "nothing");
    if (what.startsWith("certificates")) writeFileSync(join(own.caPath, "root.der"), makeVendor().root.der);
    await clock.advance(1_000);
    const { selectors } = await attestor.attest(requestOf(agent), (asked) => agent.respond(asked));
    expect(selectors).toEqual(tpm(`pub_hash:${hashOf(agent.ek.spki)}`));
    // One that is not listed is let in by nothing of it.
    const other = new SoftAgent(own.vendor);
    const refused = attestor.attest(requestOf(other), (asked) => other.respond(asked));
    if (what.startsWith("a folder")) await expect(refused).rejects.toMatchObject({ code: "UNAVAILABLE" });
    else await expectRefusal(refused, "ek-certificate-chain");
  });

  test("a vendor's file that goes bad keeps nobody out whom it let in before", async () => {
    using own = new SoftServer();
    const lines: Line[] = [];
    const clock = new FakeClock(NOW);
    const attestor = await own.attestor({}, lines, { clock });
    for (const name of ["root.pem", "issuer.der"]) writeFileSync(join(own.caPath, name), "nothing");
    for (let count = 0; count < 3; count++) {
      await clock.advance(1_000);
      const agent = new SoftAgent(own.vendor);
      expect((await attestor.attest(requestOf(agent), (asked) => agent.respond(asked))).selectors).toHaveLength(4);
    }
    expect(lines.filter(({ level }) => level === "error")).toHaveLength(2);
  });

  test("of a kind that ek_kinds has", async () => {
    const { result } = await server.run({ ek: "ec-p384" }, { ekKinds: ["ec-p384"] });
    expect((await result).selectors).toHaveLength(4);
  });

  test.each(["only the root", "only the intermediate"])(
    "no-tcg-names where %s is among the authorities",
    async (what) => {
      using own = new SoftServer();
      // A path that ends at an intermediate tells of no root: that of the exception must be there to be found.
      rmSync(join(own.caPath, what === "only the root" ? "issuer.der" : "root.pem"));
      const certificate = what === "only the root" ? { ...EXCEPTION, issuer: own.vendor.root } : EXCEPTION;
      const { result } = await own.run({ certificate }, { nameless: true });
      if (what === "only the root") expect((await result).selectors).toHaveLength(1);
      else await expectRefusal(result, "ek-certificate-profile");
    },
  );

  test("no-tcg-names: a certificate like Google's is accepted, tells no model, and the log says why", async () => {
    const { agent, result, lines } = await server.run({ certificate: EXCEPTION }, { nameless: true });
    const hash = hashOf(agent.ek.spki);
    expect((await result).selectors).toEqual(tpm(`pub_hash:${hash}`));
    expect(lines).toContainEqual({
      level: "info",
      message: "An endorsement certificate was accepted by an exception",
      fields: { exception: "no-tcg-names", pub_hash: hash },
    });
  });

  test("a key with both uses, as some vendors have", async () => {
    const { result } = await server.run({ certificate: { usage: ext.usage("keyEncipherment", "keyAgreement") } });
    expect((await result).canReattest).toBe(true);
  });
});

describe("members that a server does not know", () => {
  test("are ignored, and so are Go's nulls", async () => {
    const { result } = await server.run({
      banks: null,
      payload: (json) => ({
        ...json,
        AWS: null,
        PVE: { uuid: "x" },
        Quote: null,
        AK: { ...json.AK, UseTCSDActivationFormat: null, More: 1 },
      }),
      activate: (_challenge, own) => ({ ...JSON.parse(Buffer.from(own()).toString()), More: null }),
    });
    expect(await result).not.toHaveProperty("facts");
  });

  test("a bank that it does not know is none to ask for", async () => {
    const { result, challenges } = await server.run({ banks: ["sm3_256", "sha512", "sha256"] });
    await result;
    expect(challenges[1].Quote.PCRs).toEqual([{ Bank: "sha256", Indices: [0, 7] }]);
  });
});

describe("the challenges", () => {
  test("a credential, then a quote; secret and nonce are new each time", async () => {
    const asked = await Promise.all([server.run(), server.run()]);
    await Promise.all(asked.map(({ result }) => result));
    for (const { challenges } of asked) {
      expect(challenges.map((challenge) => Object.keys(challenge))).toEqual([["EC"], ["Quote"]]);
      expect(Buffer.from(challenges[1].Quote.Nonce, "base64")).toHaveLength(32);
    }
    expect(asked[0].challenges[1].Quote.Nonce).not.toBe(asked[1].challenges[1].Quote.Nonce);
  });

  test("an agent that offers no quote gets one challenge, as SPIRE's plugin does", async () => {
    const { result, challenges } = await server.run({ banks: null });
    expect(await result).not.toHaveProperty("facts");
    expect(challenges).toHaveLength(1);
  });

  test("a quote that is required is one that every agent of ours offers", async () => {
    const { result, challenges } = await server.run({}, { requireQuote: true });
    expect((await result).facts).toHaveProperty("reset_count");
    expect(challenges).toHaveLength(2);
  });

  test("no PCRs at all: a quote of nothing tells of reboots", async () => {
    const { result, challenges } = await server.run({}, { quoted: { bank: "sha256", indices: [] } });
    expect((await result).facts).toEqual({
      firmware_version: "2016051100162800",
      reset_count: "7",
      restart_count: "1",
    });
    expect(challenges[1].Quote.PCRs).toEqual([]);
  });
});

describe("policies", () => {
  const allowed = (index: number, bank: "sha256" | "sha384" = "sha256", value = pcrValue(bank, index)) => ({
    bank,
    index,
    values: ["00".repeat(value.length / 2), value],
  });
  const profiles = [
    { name: "web", pcrs: [allowed(7)] },
    { name: "db", pcrs: [allowed(7), allowed(4)] },
    { name: "old", pcrs: [{ bank: "sha256", index: 7, values: ["11".repeat(32)] }] },
    { name: "wide", pcrs: [allowed(7, "sha384")] },
  ] as const;

  test("every profile that is met becomes a selector, and no other", async () => {
    const { agent, result, challenges } = await server.run({ banks: ["sha384", "sha256"] }, { profiles });
    const hash = hashOf(agent.ek.spki);
    const met = ["policy:web", "policy:db", "policy:wide"];
    expect((await result).selectors).toEqual(tpm(`pub_hash:${hash}`, ...met, ...VENDOR));
    expect(challenges[1].Quote.PCRs).toEqual([
      { Bank: "sha256", Indices: [0, 4, 7] },
      { Bank: "sha384", Indices: [7] },
    ]);
  });

  test("PCRs become selectors only where that is asked for", async () => {
    const { agent, result } = await server.run({}, { pcrSelectors: true });
    const pcrs = [0, 7].map((index) => `pcr:sha256:${index}:${pcrValue("sha256", index)}`);
    expect((await result).selectors).toEqual(tpm(`pub_hash:${hashOf(agent.ek.spki)}`, ...VENDOR, ...pcrs));
  });
});
