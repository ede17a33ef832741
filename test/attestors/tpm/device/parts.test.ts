/** The smaller parts of the agent's TPM: PCRs, quotes, what is remembered, templates, certificates in NV. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { trimCertificate } from "../../../../src/attestors/tpm/device/ek-certificate.ts";
import { decodeEkChoice, encodeEkChoice } from "../../../../src/attestors/tpm/device/ek-choice.ts";
import { pcrBanks, readPcrs } from "../../../../src/attestors/tpm/device/pcrs.ts";
import { makeQuote } from "../../../../src/attestors/tpm/device/quote.ts";
import {
  attestationKey,
  p256High,
  p256Low,
  p384High,
  rsaHigh,
  rsaLow,
} from "../../../../src/attestors/tpm/device/templates.ts";
import { ObjectAttribute } from "../../../../src/attestors/tpm/structures/public-area.ts";
import type { TpmHandle, TpmKey } from "../../../../src/lib/native-tpm.ts";
import { AK_ATTRIBUTES, cat, type Hash, hex } from "../../../fakes/soft-tpm/structures.ts";
import { softEk } from "../../../fakes/soft-tpm/tpm.ts";
import { ekCertificate, makeVendor } from "../../../fakes/soft-tpm/vendor.ts";
import { FakeTpm } from "./fake-tpm.ts";

const open = (tpm: FakeTpm): Promise<TpmHandle> => tpm.openTpm("t", 1);
const all = (bank: "sha1" | "sha256" | "sha384") => ({ bank, indices: Array.from({ length: 24 }, (_, i) => i) });

describe("PCRs", () => {
  test("banks are those that are known and have PCRs", async () => {
    const tpm = new FakeTpm();
    tpm.banks.splice(0, 1, "sha1", "sha512", "sha384");
    expect(await pcrBanks(await open(tpm))).toEqual(["sha1", "sha384"]);
    tpm.banks.length = 0;
    expect(await pcrBanks(await open(tpm))).toEqual([]);
  });

  test("a TPM that says something else is not believed", async () => {
    const handle = await open(new FakeTpm());
    for (const data of [hex("00000006 00000000"), hex("00000005"), hex("00000005 00000000 00"), Buffer.alloc(0)]) {
      const lying = { ...handle, getCapability: async () => data };
      await expect(pcrBanks(lying)).rejects.toMatchObject({ code: "MALFORMED" });
    }
  });

  test("are read eight at a time, all of three banks", async () => {
    const tpm = new FakeTpm();
    tpm.banks.splice(0, 1, "sha1", "sha256", "sha384");
    const values = await readPcrs(await open(tpm), [all("sha1"), all("sha256"), all("sha384")]);
    for (const bank of ["sha1", "sha256", "sha384"] as const) {
      expect(values.get(bank)?.size).toBe(24);
      expect(values.get(bank)?.get(17)).toEqual(tpm.pcr(bank, 17));
    }
    expect(tpm.calls.filter((call) => call === "pcrRead")).toHaveLength(9);
  });

  test("none are read where none are asked for", async () => {
    const tpm = new FakeTpm();
    expect((await readPcrs(await open(tpm), [])).size).toBe(0);
    expect((await readPcrs(await open(tpm), [{ bank: "sha256", indices: [] }])).get("sha256")?.size).toBe(0);
    expect(tpm.calls).not.toContain("pcrRead");
  });

  test("are of one moment: a change between two reads starts them anew", async () => {
    const tpm = new FakeTpm();
    let reads = 0;
    tpm.before = (call) => {
      if (call === "pcrRead" && ++reads === 3) {
        tpm.updateCounter++;
        tpm.pcrs.set("sha256:0", "ee".repeat(32));
      }
    };
    const values = await readPcrs(await open(tpm), [all("sha256")]);
    expect(reads).toBe(6);
    expect(Buffer.from(values.get("sha256")?.get(0) ?? []).toString("hex")).toBe("ee".repeat(32));
  });

  test("that change all the time end in an error, not in a loop", async () => {
    const tpm = new FakeTpm();
    tpm.before = () => void tpm.updateCounter++;
    await expect(readPcrs(await open(tpm), [all("sha256")])).rejects.toThrow("change faster than they can be read");
  });

  test("that the TPM lacks end in an error", async () => {
    const tpm = new FakeTpm();
    const handle = await open(tpm);
    await expect(readPcrs(handle, [all("sha1")])).rejects.toThrow("does not have all of the PCRs");
    // Fewer digests than it says
    const lying: TpmHandle = { ...handle, pcrRead: async (s) => ({ ...(await handle.pcrRead(s)), digests: [] }) };
    await expect(readPcrs(lying, [all("sha256")])).rejects.toThrow("does not have all of the PCRs");
  });
});

describe("a quote", () => {
  const parent: TpmKey = { hierarchy: "endorsement", template: p256Low(), auth: "policy-secret" };
  const selection = [{ bank: "sha256", indices: [0, 7] }] as const;

  async function setUp() {
    const tpm = new FakeTpm();
    const handle = await open(tpm);
    const blob = await handle.createAk(parent, attestationKey("ec-p256"));
    return { tpm, handle, key: { parent, blob, hash: "sha256" } as const };
  }

  test("comes with the values that it is over", async () => {
    const { tpm, handle, key } = await setUp();
    const { pcrs } = await makeQuote(handle, key, Buffer.alloc(32), selection);
    expect(pcrs.get("sha256")?.get(7)).toEqual(tpm.pcr("sha256", 7));
  });

  test("over PCRs that changed after they were read is made anew", async () => {
    const { tpm, handle, key } = await setUp();
    let quotes = 0;
    tpm.before = (call) => {
      if (call === "quote" && ++quotes === 1) tpm.pcrs.set("sha256:7", "ee".repeat(32));
    };
    const { pcrs } = await makeQuote(handle, key, Buffer.alloc(32), selection);
    expect(quotes).toBe(2);
    expect(Buffer.from(pcrs.get("sha256")?.get(7) ?? []).toString("hex")).toBe("ee".repeat(32));
  });

  test("over PCRs that change all the time ends in an error", async () => {
    const { tpm, handle, key } = await setUp();
    let count = 0;
    tpm.before = (call) => {
      const next = createHash("sha256").update(`${count++}`).digest("hex");
      if (call === "quote") tpm.pcrs.set("sha256:7", next);
    };
    await expect(makeQuote(handle, key, Buffer.alloc(32), selection)).rejects.toThrow("faster than they can be quoted");
  });
});

describe("what is remembered of the endorsement key", () => {
  const choice = { template: "H-3", hash: "0a".repeat(32) } as const;

  test("is read as it was written", () => {
    expect(encodeEkChoice(choice)).toBe(`{"template":"H-3","pub_hash":"${"0a".repeat(32)}"}\n`);
    expect(decodeEkChoice(encodeEkChoice(choice))).toEqual(choice);
  });

  test.each([
    "",
    "{}",
    "null",
    '{"template":"L-1"}',
    '{"template":"L-9","pub_hash":"00"}',
    encodeEkChoice(choice).toUpperCase(),
  ])("%s is nothing that was", (text) => {
    expect(() => decodeEkChoice(text)).toThrow(expect.objectContaining({ code: "DATA_LOSS" }));
  });
});

describe("templates", () => {
  /** Byte for byte as in the TCG EK Credential Profile 2.5, B.3.3 to B.4.5. */
  const A = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa";
  const B256 = "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0";
  const B384 = "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12";
  const zeros = (bytes: number): string => "00".repeat(bytes);

  test.each([
    ["L-1", rsaLow(), `0001 000b 000300b2 0020 ${A} 0006 0080 0043 0010 0800 00000000 0100 ${zeros(256)}`],
    [
      "L-2",
      p256Low(),
      `0023 000b 000300b2 0020 ${A} 0006 0080 0043 0010 0003 0010 0020 ${zeros(32)} 0020 ${zeros(32)}`,
    ],
    ["H-1", rsaHigh(), `0001 000b 000300f2 0020 ${B256} 0006 0080 0043 0010 0800 00000000 0000`],
    ["H-2", p256High(), `0023 000b 000300f2 0020 ${B256} 0006 0080 0043 0010 0003 0010 0000 0000`],
    ["H-3", p384High(), `0023 000c 000300f2 0030 ${B384} 0006 0100 0043 0010 0004 0010 0000 0000`],
  ])("%s is the profile's", (_name, made, expected) => {
    expect(Buffer.from(made).toString("hex")).toBe(hex(expected).toString("hex"));
  });

  test("the policies are what the TPM computes of PolicySecret and PolicyOR", () => {
    // Part 3, 23.4: the digest is extended by command code and name of the entity, then by the empty reference.
    const sha = (hash: Hash, ...parts: Uint8Array[]): Buffer =>
      createHash(hash)
        .update(cat(...parts))
        .digest();
    const extended = sha("sha256", Buffer.alloc(32), hex("00000151"), hex("4000000b"));
    expect(sha("sha256", extended).toString("hex")).toBe(A);
    // Policy C is of an NV index that holds one: PolicyAuthorizeNV.
    const C = hex("3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde");
    expect(sha("sha256", Buffer.alloc(32), hex("00000171"), hex(A), C).toString("hex")).toBe(B256);
  });

  test.each(["ec-p256", "rsa-2048"] as const)(
    "an attestation key %s signs what the TPM states, and no more",
    (kind) => {
      const made = Buffer.from(attestationKey(kind));
      expect(made.readUInt32BE(4)).toBe(AK_ATTRIBUTES);
      expect(AK_ATTRIBUTES & ObjectAttribute.decrypt).toBe(0);
      // No dictionary attack protection: a lockout must not take the identity away.
      expect(AK_ATTRIBUTES & ObjectAttribute.noDA).not.toBe(0);
    },
  );
});

describe("a certificate in NV memory", () => {
  const der = ekCertificate(makeVendor(), softEk("ec-p256"));

  test.each([
    ["alone", der],
    ["padded with 0xff", cat(der, Buffer.alloc(500, 0xff))],
    ["padded with zeros", cat(der, Buffer.alloc(500))],
    ["followed by another", cat(der, der)],
  ])("%s is found whole", (_name, nv) => {
    expect(Buffer.from(trimCertificate(nv) ?? [])).toEqual(Buffer.from(der));
  });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["a byte", hex("30")],
    ["never written", Buffer.alloc(1_600, 0xff)],
    ["zeros", Buffer.alloc(1_600)],
    ["cut short", der.subarray(0, -1)],
    ["longer than the index", cat(hex("3082ffff"), der.subarray(4))],
    ["another sequence", cat(hex("30820100"), Buffer.alloc(256))],
    ["behind a header of TPM 1.2", cat(hex("1001 00 0200 1002"), der)],
    ["an indefinite length", cat(hex("3080"), der)],
  ])("%s is none", (_name, nv) => {
    expect(trimCertificate(nv)).toBeUndefined();
  });

  test("at every length of its index, it is found whole or not at all", () => {
    for (let length = 0; length < der.length; length++)
      expect(trimCertificate(der.subarray(0, length))).toBeUndefined();
  });
});
