/** The agent's half with a TPM behind the addon's port, against the real server's half. */
import { createHash, createPublicKey } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import type { EkChoice } from "../../../src/attestors/tpm/device/ek-choice.ts";
import { p256Low, p384High, useOf } from "../../../src/attestors/tpm/device/templates.ts";
import { AK_KINDS, EK_KINDS, type EkKind, softEk } from "../../fakes/soft-tpm/tpm.ts";
import { ekCertificate } from "../../fakes/soft-tpm/vendor.ts";
import { attest, hashOf, INDEX, newCsr, server, setUp, signal, TEMPLATE, tpmWith } from "./agent-support.ts";
import { FakeTpm } from "./device/fake-tpm.ts";
import { nodesWith } from "./server-harness.ts";

afterAll(() => server[Symbol.dispose]());

describe.each(EK_KINDS.flatMap((ek) => AK_KINDS.map((ak) => ({ ek, ak }))))("$ek and $ak", ({ ek, ak }) => {
  test("attest, and leave the TPM closed", async () => {
    const tpm = tpmWith(ek);
    const { agentId } = await attest(setUp(tpm, { ek, ak }).attestor);
    expect(agentId).toBe(`spiffe://example.org/spire/agent/tpm/${hashOf(tpm.primary(TEMPLATE[ek]))}`);
    expect(tpm.open).toBe(0);
    // Three pieces of work: the payload, the credential, the quote.
    expect(tpm.calls.filter((call) => call.startsWith("open"))).toHaveLength(3);
  });
});

test("the attestor's name is the plugin's", () => {
  expect(setUp(new FakeTpm()).attestor.name).toBe("tpm");
});

test("all banks are offered, and quoted if that is asked for", async () => {
  const tpm = tpmWith("ec-p256");
  tpm.banks.splice(0, 1, "sha1", "sha256", "sha384");
  const value = (bank: "sha1" | "sha384") => [tpm.pcr(bank, 7).toString("hex")];
  const profiles = [
    {
      name: "all",
      pcrs: [
        { bank: "sha384", index: 7, values: value("sha384") },
        { bank: "sha1", index: 7, values: value("sha1") },
      ],
    },
  ] as const;
  const { selectors } = await attest(setUp(tpm).attestor, { profiles });
  expect(selectors.map(({ value }) => value)).toContain("policy:all");
});

describe("the key above the attestation key", () => {
  const parentsOf = async (tpm: FakeTpm, ek: EkKind): Promise<FakeTpm["parents"]> => {
    await attest(setUp(tpm, { ek }).attestor);
    return tpm.parents;
  };

  test("is the P-256 endorsement key, whichever the agent is known by", async () => {
    const quick = { hierarchy: "endorsement", template: p256Low(), auth: "policy-secret" };
    expect((await parentsOf(tpmWith("ec-p256"), "ec-p256"))[0]).toEqual(quick);
    expect((await parentsOf(tpmWith("ec-p384"), "ec-p384"))[0]).toEqual(quick);
  });

  test("is the agent's own where the TPM lacks that curve", async () => {
    const tpm = tpmWith("ec-p384");
    tpm.lacks.add("ec-p256");
    expect((await parentsOf(tpm, "ec-p384")).at(-1)).toMatchObject({ template: p384High(), ...useOf(p384High()) });
  });
});

describe("what is remembered", () => {
  test("is the key, from the first attestation on; a certificate that comes later changes nothing", async () => {
    const tpm = tpmWith("ec-p384");
    const { attestor, lines, saved } = setUp(tpm);
    const first = await attest(attestor);
    const pub_hash = hashOf(tpm.primary(p384High()));
    expect(saved).toEqual([{ template: "H-3", hash: pub_hash }]);
    expect(lines).toEqual([
      {
        level: "info",
        message: "This agent is known by its TPM's endorsement key",
        fields: { ek: "ec-p384", pub_hash, certificate: true },
      },
    ]);
    tpm.nv.set(INDEX["ec-p256"], ekCertificate(server.vendor, tpm.primary(p256Low())));
    expect((await attest(attestor)).agentId).toBe(first.agentId);
    expect(saved).toHaveLength(1);
    expect(lines).toHaveLength(1);
  });

  test("gives way to the configuration; the log warns that the ID changes", async () => {
    const tpm = tpmWith("ec-p256", "ec-p384");
    const before: EkChoice = { template: "H-3", hash: hashOf(tpm.primary(p384High())) };
    const { attestor, lines, saved } = setUp(tpm, { ek: "ec-p256" }, before);
    await attest(attestor);
    expect(saved.at(-1)).toEqual({ template: "L-2", hash: hashOf(tpm.primary(p256Low())) });
    expect(lines[0]).toEqual({
      level: "warn",
      message: "The endorsement key is not the one this agent was known by; its ID changes",
      fields: { old_pub_hash: before.hash, pub_hash: hashOf(tpm.primary(p256Low())) },
    });
  });

  test("cannot be stored: it is told, and the agent attests", async () => {
    const { attestor, lines, choice } = setUp(tpmWith("ec-p256"));
    choice.save = () => Promise.reject(new Error("disk full"));
    await attest(attestor);
    expect(lines.at(-1)).toMatchObject({
      level: "warn",
      message: "Could not store which endorsement key is used",
      fields: { error: "disk full" },
    });
  });
});

test("a quote is bound to the CSR of this ceremony", async () => {
  const tpm = tpmWith("ec-p256");
  const csrPublicKey = newCsr();
  const ceremony = await setUp(tpm).attestor.begin({ csrPublicKey }, signal);
  const half = await server.attestor();
  const spki = csrPublicKey.export({ type: "spki", format: "der" });
  let nonce = Buffer.alloc(0);
  const same = createPublicKey({ key: spki, format: "der", type: "spki" });
  const request = { payload: ceremony.payload, csrPublicKey: same, peerAddress: "", nodes: nodesWith() };
  await half.attest(request, async (challenge) => {
    const answer = await ceremony.respond(challenge);
    const { Quote } = JSON.parse(Buffer.from(challenge).toString());
    if (Quote !== undefined) {
      nonce = Buffer.from(Quote.Nonce, "base64");
      const quoted = Buffer.from(JSON.parse(Buffer.from(answer).toString()).Quote.Quoted, "base64");
      const bound = createHash("sha256").update(nonce).update(spki).digest();
      expect(quoted.includes(bound)).toBe(true);
    }
    return answer;
  });
  expect(nonce).toHaveLength(32);
});

test("another key than the listed one is refused by the server, whatever the agent says", async () => {
  const { attestor } = setUp(tpmWith());
  server.list(softEk("ec-p256").spki);
  await expect(attest(attestor, { folders: "hash" })).rejects.toThrow("tpm: ek-known");
});
