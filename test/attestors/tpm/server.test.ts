/** The server's half on proofs that hold: who is admitted, and what is told of them. */
import { createHash } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { id } from "../../fakes/entries.ts";
import { ext, NOW } from "../../pki/make.ts";
import { pcrValue } from "./soft-agent.ts";
import { SoftServer } from "./soft-server.ts";
import { AK_KINDS, EK_KINDS } from "./soft-tpm.ts";
import { MODEL } from "./soft-vendor.ts";

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

  test("no-tcg-names: a certificate like Google's is accepted, tells no model, and the log says why", async () => {
    const { agent, result, lines } = await server.run({ certificate: EXCEPTION });
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
    expect((await result).facts).toEqual({});
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
    expect((await result).facts).toEqual({});
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
