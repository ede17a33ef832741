/** Which endorsement key an agent is known by. */
import { beforeAll, describe, expect, test } from "vitest";
import type { EkKind } from "../../../../src/attestors/tpm/config.ts";
import {
  findEndorsementKey,
  readCertificate,
  type TpmEndorsementKey,
} from "../../../../src/attestors/tpm/device/endorsement-key.ts";
import {
  EK_TEMPLATES,
  type EkTemplateName,
  p256Low,
  p384High,
  rsaHigh,
  rsaLow,
  useOf,
} from "../../../../src/attestors/tpm/device/templates.ts";
import { cat, hex } from "../../../fakes/soft-tpm/structures.ts";
import { type SoftEk, softEk } from "../../../fakes/soft-tpm/tpm.ts";
import { ekCertificate, makeVendor } from "../../../fakes/soft-tpm/vendor.ts";
import { ext } from "../../../pki/make.ts";
import { FakeTpm, publicOf, tpmError } from "./fake-tpm.ts";

const vendor = makeVendor();
/** NV indices and handles of the TCG EK Credential Profile. */
const NV = { rsa: 0x01c00002, p256: 0x01c0000a, p384: 0x01c00016, rsaHigh: 0x01c00012 };
const HANDLE = { rsa: 0x81010001, p256: 0x81010002, p384: 0x81010016 };

const find = async (tpm: FakeTpm, kind?: EkKind, remembered?: EkTemplateName): Promise<TpmEndorsementKey> =>
  findEndorsementKey(await tpm.openTpm("t", 1), { kind, remembered });
const certify = (tpm: FakeTpm, index: number, ek: SoftEk): Uint8Array => {
  const certificate = ekCertificate(vendor, ek);
  // NV indices have a fixed size.
  tpm.nv.set(index, cat(certificate, Buffer.alloc(100, 0xff)));
  return certificate;
};
const keep = (tpm: FakeTpm, handle: number, template: Uint8Array, ek: SoftEk): void =>
  void tpm.persistent.set(handle, { area: publicOf(template, ek), ek });

// RSA keys take long: the one of the usual template is made before.
beforeAll(() => {
  new FakeTpm().primary(rsaLow());
});

describe("the choice", () => {
  test("RSA before P-256 before P-384, of those that have a certificate", async () => {
    const tpm = new FakeTpm();
    certify(tpm, NV.p384, tpm.primary(p384High()));
    expect((await find(tpm)).kind).toBe("ec-p384");
    certify(tpm, NV.p256, tpm.primary(p256Low()));
    expect((await find(tpm)).kind).toBe("ec-p256");
    certify(tpm, NV.rsa, tpm.primary(rsaLow()));
    expect((await find(tpm)).kind).toBe("rsa-2048");
  });

  test("without any certificate, the first that the TPM can make", async () => {
    const tpm = new FakeTpm();
    const rsa = await find(tpm);
    expect(rsa).toMatchObject({ kind: "rsa-2048", certificate: undefined });
    tpm.lacks.add("rsa-2048");
    expect((await find(tpm)).kind).toBe("ec-p256");
    tpm.lacks.add("ec-p256");
    expect((await find(tpm)).kind).toBe("ec-p384");
    tpm.lacks.add("ec-p384");
    await expect(find(tpm)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "the TPM has no endorsement key of kind RSA, P-256 or P-384",
    });
  });

  test("of the kind that is asked for, and no other", async () => {
    const tpm = new FakeTpm();
    certify(tpm, NV.rsa, tpm.primary(rsaLow()));
    expect(await find(tpm, "ec-p256")).toMatchObject({ kind: "ec-p256", certificate: undefined });
    tpm.lacks.add("ec-p384");
    await expect(find(tpm, "ec-p384")).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "the TPM has no endorsement key of kind ec-p384",
    });
  });

  test("a failure that is not about algorithms is no reason to take another key", async () => {
    const tpm = new FakeTpm();
    tpm.before = (call) => {
      if (call === "readPublic primary") throw tpmError("ERR_TPM", 0x921);
    };
    await expect(find(tpm)).rejects.toMatchObject({ rc: 0x921 });
  });

  test("is the same each time, and leaves nothing behind", async () => {
    const tpm = new FakeTpm();
    const [one, two] = [await find(tpm), await find(tpm)];
    expect(Buffer.from(one.spki)).toEqual(Buffer.from(two.spki));
    expect(tpm.persistent.size).toBe(0);
  });
});

describe("the key that is remembered", () => {
  test("is taken again, though another one has a certificate since", async () => {
    const tpm = new FakeTpm();
    const before = await find(tpm, "ec-p384");
    certify(tpm, NV.rsa, tpm.primary(rsaLow()));
    const found = await find(tpm, undefined, before.template);
    expect(found).toMatchObject({ template: "H-3", kind: "ec-p384" });
    expect(Buffer.from(found.spki)).toEqual(Buffer.from(before.spki));
  });

  test("is taken again, though its certificate went, or came", async () => {
    const tpm = new FakeTpm();
    certify(tpm, NV.p256, tpm.primary(p256Low()));
    const before = await find(tpm);
    tpm.nv.clear();
    expect(await find(tpm, undefined, before.template)).toMatchObject({ template: "L-2", certificate: undefined });
    certify(tpm, NV.p256, tpm.primary(p256Low()));
    const after = await find(tpm, undefined, before.template);
    expect(Buffer.from(after.spki)).toEqual(Buffer.from(before.spki));
    expect(after.certificate).toBeDefined();
  });

  test("is not taken when another kind is asked for", async () => {
    expect(await find(new FakeTpm(), "ec-p256", "H-3")).toMatchObject({ template: "L-2", kind: "ec-p256" });
  });

  test("of the high range is another one than that of the low", async () => {
    const tpm = new FakeTpm();
    const [low, high] = [await find(tpm, "ec-p256", "L-2"), await find(tpm, "ec-p256", "H-2")];
    expect([low.template, high.template]).toEqual(["L-2", "H-2"]);
    expect(Buffer.from(low.spki)).not.toEqual(Buffer.from(high.spki));
  });
});

describe("a key that is kept in the TPM", () => {
  test("is used when it is the certificate's", async () => {
    const tpm = new FakeTpm();
    const ek = softEk("ec-p256");
    const certificate = certify(tpm, NV.p256, ek);
    keep(tpm, HANDLE.p256, p256Low(), ek);
    const found = await find(tpm);
    expect(found.key).toEqual({ handle: HANDLE.p256, auth: "policy-secret" });
    expect(Buffer.from(found.spki)).toEqual(ek.spki);
    expect(Buffer.from(found.certificate ?? [])).toEqual(Buffer.from(certificate));
    expect(tpm.calls).not.toContain("readPublic primary");
  });

  test("is passed over when it is another key, or of another template", async () => {
    for (const [template, ek] of [
      [p256Low(), softEk("ec-p256")],
      [p384High(), softEk("ec-p384")],
      [cat(p256Low().subarray(0, 4), hex("000300f2"), p256Low().subarray(8)), softEk("ec-p256")],
    ] as const) {
      const tpm = new FakeTpm();
      certify(tpm, NV.p256, tpm.primary(p256Low()));
      keep(tpm, HANDLE.p256, template, ek);
      expect((await find(tpm)).key).toMatchObject({ hierarchy: "endorsement", auth: "policy-secret" });
    }
  });

  test("that is no key at all is passed over", async () => {
    const tpm = new FakeTpm();
    // A keyed hash object
    tpm.persistent.set(HANDLE.rsa, { area: hex("0008 000b 00000000 0000 0010 0000"), ek: softEk("ec-p256") });
    expect((await find(tpm)).key).toMatchObject({ hierarchy: "endorsement" });
  });

  test("without a certificate it is used too, if it is made as such keys are", async () => {
    const tpm = new FakeTpm();
    const ek = softEk("ec-p384");
    keep(tpm, HANDLE.p384, p384High(), ek);
    const found = await find(tpm, "ec-p384");
    expect(found.key).toEqual({ handle: HANDLE.p384, ...useOf(p384High()) });
    expect(Buffer.from(found.spki)).toEqual(ek.spki);
    keep(tpm, HANDLE.p384, p256Low(), softEk("ec-p256"));
    expect((await find(tpm, "ec-p384")).key).toMatchObject({ hierarchy: "endorsement", ...useOf(p384High()) });
  });
});

describe("a certificate", () => {
  test("that is of another key is an error that names its index: better no identity than another one", async () => {
    const tpm = new FakeTpm();
    certify(tpm, NV.p256, softEk("ec-p256"));
    await expect(find(tpm)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "the endorsement certificate at NV index 0x01c0000a is not that of the TPM's ec-p256 endorsement key",
    });
  });

  test("of the high range goes with the key of its template", async () => {
    const tpm = new FakeTpm();
    const ek = tpm.primary(rsaHigh());
    certify(tpm, NV.rsaHigh, ek);
    const found = await find(tpm);
    expect(found.key).toMatchObject({ hierarchy: "endorsement", ...useOf(rsaHigh()) });
    expect(Buffer.from(found.spki)).toEqual(ek.spki);
  });

  test("is not one that was never written, or is cut off", async () => {
    const tpm = new FakeTpm();
    tpm.lacks.add("rsa-2048");
    for (const content of [Buffer.alloc(0), Buffer.alloc(1_600, 0xff), Buffer.alloc(1_600), hex("30820400 3082")]) {
      tpm.nv.set(NV.p256, content);
      expect((await find(tpm)).certificate).toBeUndefined();
    }
  });

  test("whose key no server would take, as TPM 1.2 has, counts as none", async () => {
    const tpm = new FakeTpm();
    // An RSA key for OAEP alone
    const spki = Buffer.from(softEk("rsa-2048").spki);
    spki.writeUInt8(7, spki.indexOf(hex("2a864886f70d0101")) + 8);
    const fields = { spki, usage: ext.usage("keyEncipherment") };
    tpm.nv.set(NV.rsa, ekCertificate(vendor, softEk("rsa-2048"), fields));
    expect((await find(tpm)).certificate).toBeUndefined();
  });
});

describe("what a maker left in the TPM", () => {
  test("a nonce stands at the start of the template", async () => {
    const tpm = new FakeTpm();
    tpm.nv.set(0x01c0000b, Buffer.from("nonce"));
    certify(tpm, NV.p256, tpm.primary(p256Low(Buffer.from("nonce"))));
    const found = await find(tpm);
    expect(found.key).toMatchObject({ template: p256Low(Buffer.from("nonce")) });
    expect(Buffer.from(p256Low(Buffer.from("nonce"))).includes("nonce")).toBe(true);
  });

  test("a template of its own is used in place of the usual one, nonce or not", async () => {
    const own = cat(p256Low().subarray(0, 4), hex("000300f2"), p256Low().subarray(8));
    const tpm = new FakeTpm();
    tpm.nv.set(0x01c0000b, Buffer.from("nonce"));
    tpm.nv.set(0x01c0000c, own);
    certify(tpm, NV.p256, tpm.primary(own));
    // By its policy, which no lockout concerns, although a password would do.
    expect((await find(tpm)).key).toEqual({ hierarchy: "endorsement", template: own, auth: "policy-secret" });
  });

  describe("or whoever used the TPM before: a template of a key that leaves it", () => {
    /** An endorsement key but for fixedTPM and fixedParent. */
    const exportable = cat(p256Low().subarray(0, 4), hex("000300a0"), p256Low().subarray(8));
    const planted = (): FakeTpm => {
      const tpm = new FakeTpm();
      tpm.nv.set(0x01c0000c, exportable);
      return tpm;
    };

    test("is not used where no certificate confirms the key", async () => {
      const tpm = planted();
      for (const remembered of [undefined, "L-2"] as const) {
        const found = await find(tpm, "ec-p256", remembered);
        expect(found.key).toEqual({ hierarchy: "endorsement", template: p256Low(), ...useOf(p256Low()) });
        expect(Buffer.from(found.spki)).toEqual(tpm.primary(p256Low()).spki);
      }
      expect(tpm.primaries).toHaveLength(1);
    });

    test("is not used of RSA either, though it is the first choice", async () => {
      const tpm = new FakeTpm();
      tpm.nv.set(0x01c00004, cat(rsaLow().subarray(0, 4), hex("000300a0"), rsaLow().subarray(8)));
      expect((await find(tpm)).key).toMatchObject({ template: rsaLow() });
    });

    test("is not used when the key is kept in the TPM", async () => {
      const tpm = planted();
      keep(tpm, HANDLE.p256, exportable, softEk("ec-p256"));
      expect((await find(tpm, "ec-p256")).key).toMatchObject({ hierarchy: "endorsement", template: p256Low() });
    });

    test("is used where a certificate is its key's: the maker chose it", async () => {
      const tpm = planted();
      const certificate = certify(tpm, NV.p256, tpm.primary(exportable));
      const found = await find(tpm);
      expect(found.key).toEqual({ hierarchy: "endorsement", template: exportable, ...useOf(p256Low()) });
      expect(Buffer.from(found.certificate ?? [])).toEqual(Buffer.from(certificate));
    });

    test("is not used where the certificate is another key's", async () => {
      const tpm = planted();
      certify(tpm, NV.p256, softEk("ec-p256"));
      await expect(find(tpm)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    });
  });

  test("a nonce that is too long does not grow the template", () => {
    expect(rsaLow(Buffer.alloc(300, 1))).toHaveLength(rsaLow().length);
    expect(p256Low(Buffer.alloc(64, 1))).toHaveLength(p256Low().length);
  });
});

test("certificates are looked for where the profile puts them", async () => {
  const tpm = new FakeTpm();
  const handle = await tpm.openTpm("t", 1);
  for (const candidate of EK_TEMPLATES) expect(await readCertificate(handle, candidate)).toBeUndefined();
  expect(tpm.calls.filter((call) => call.startsWith("nvRead"))).toEqual([
    "nvRead 1c00002",
    "nvRead 1c00012",
    "nvRead 1c0000a",
    "nvRead 1c00014",
    "nvRead 1c00016",
  ]);
});
