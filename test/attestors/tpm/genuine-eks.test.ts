/** Genuine endorsement certificates of TPM makers: each gets the verdict that it deserves. */
import { describe, expect, test } from "vitest";
import { trimCertificate } from "../../../src/attestors/tpm/device/ek-certificate.ts";
import { readEndorsementKey } from "../../../src/attestors/tpm/verify/ek.ts";
import { type EkVerdict, verifyEkCertificate } from "../../../src/attestors/tpm/verify/ek-certificate.ts";
import { isRoca } from "../../../src/attestors/tpm/verify/roca.ts";
import { type Certificate, parseCertificate } from "../../../src/pki/certificate.ts";
import { pemDecode } from "../../../src/pki/pem.ts";
import { readSpki } from "../../../src/pki/spki.ts";
import { validateChain } from "../../../src/pki/validate-chain.ts";
import { GenuineData } from "./genuine-data.ts";
import { expectRefusal } from "./vector.ts";

interface Case {
  readonly name: string;
  readonly expected: "accept" | "reject" | "accept chain, reject as EK";
  readonly san: string | null;
}

const data = new GenuineData("ek");
const cases: readonly Case[] = data.isMissing ? [] : JSON.parse(data.text("cases.json"));
/** When `cases.json` was made; all that is accepted is valid for years from then. */
const NOW = Date.UTC(2026, 10, 21);

const named = (expected: Case["expected"]): readonly string[] =>
  cases.filter((one) => one.expected === expected).map(({ name }) => name);
const authorities = (name: string, files: readonly string[] = ["root.pem", "intermediates.pem"]): Certificate[] =>
  files
    .filter((file) => data.has(name, file))
    .flatMap((file) => pemDecode(data.text(name, file), "CERTIFICATE"))
    .map((der) => parseCertificate(der));

/** As the server judges what an agent sends. */
async function judge(der: Uint8Array, trusted: readonly Certificate[]): Promise<EkVerdict> {
  const { certificate } = readEndorsementKey({ certificate: der, publicKey: undefined });
  if (certificate === undefined) throw new Error("it was left out");
  return verifyEkCertificate(certificate, trusted, NOW);
}

describe.skipIf(data.isMissing)(`genuine endorsement certificates${data.why}`, () => {
  test("are all here", () => {
    expect(cases).toHaveLength(18);
    expect(named("accept")).toHaveLength(9);
  });

  describe.each(named("accept"))("%s", (name) => {
    const der = data.read(name, "ek.der");

    test("is accepted, and tells its model as openssl reads it", async () => {
      const { model, exceptions } = await judge(der, authorities(name));
      const found = cases.find((one) => one.name === name)?.san;
      const isExcepted = name.startsWith("google-vtpm-pca");
      expect(exceptions).toEqual(isExcepted ? ["no-tcg-names"] : []);
      if (isExcepted) expect([model, found]).toEqual([undefined, null]);
      else {
        expect(found).toBe(
          `critical DirName:/2.23.133.2.1=${model?.manufacturer}/2.23.133.2.2=${model?.model}/2.23.133.2.3=${model?.version}`,
        );
      }
    });

    test("is refused with another vendor's authorities, or with none", async () => {
      const other = name.startsWith("infineon") ? "stm-st33htph-ecc" : "infineon-slb9665-rsa-mfr036";
      await expectRefusal(judge(der, authorities(other)), "ek-certificate-chain");
      await expectRefusal(judge(der, []), "ek-certificate-chain");
    });

    test("is refused without its intermediates", async () => {
      await expectRefusal(judge(der, authorities(name, ["root.pem"])), "ek-certificate-chain");
    });

    test("is refused once it has expired, and before it began", async () => {
      const { certificate } = readEndorsementKey({ certificate: der, publicKey: undefined });
      const [first, last] = [certificate?.notBefore ?? 0, certificate?.notAfter ?? 0];
      for (const now of [first - 1_000, last + 1_000]) {
        const late = async () => verifyEkCertificate(parseCertificate(der), authorities(name), now);
        await expectRefusal(late(), "ek-certificate-chain");
      }
    });

    test("is refused with any of its names changed", async () => {
      const offset = der.indexOf(Buffer.from("6781050201", "hex"));
      if (offset < 0) return;
      // The first letter of the manufacturer: tag, length, then text.
      const altered = Buffer.from(der);
      altered.writeUInt8(altered.readUInt8(offset + 8) ^ 1, offset + 8);
      await expectRefusal(judge(altered, authorities(name)), "ek-certificate-chain");
    });
  });

  test.each(named("accept chain, reject as EK"))("%s is an attestation key's: its chain verifies", async (name) => {
    const der = data.read(name, "ek.der");
    const trusted = authorities(name);
    expect(validateChain([der], trusted, { now: NOW, checkLeaf: () => {} }).path).toHaveLength(2);
    await expectRefusal(judge(der, trusted), "ek-certificate-profile");
  });

  test.each(named("reject"))("%s is refused", async (name) => {
    const check = name.startsWith("intel") ? "ek-certificate-chain" : "ek-key-type";
    const all = cases.flatMap((one) => authorities(one.name));
    await expectRefusal(judge(data.read(name, "ek.der"), all), check);
  });

  test("none that a maker may leave the names out of is accepted without that maker's root", async () => {
    const nameless = named("accept").filter((name) => name.startsWith("google-vtpm-pca"));
    for (const name of nameless) {
      const der = data.read(name, "ek.der");
      // The path ends at the intermediate, and nothing is above it.
      await expectRefusal(judge(der, authorities(name, ["intermediates.pem"])), "ek-certificate-profile");
    }
    expect(nameless.length).toBeGreaterThan(0);
  });

  test("no RSA key is taken for one that can be factored", () => {
    const moduli = cases.flatMap(({ name }) => {
      const { spki } = parseCertificate(data.read(name, "ek.der"));
      try {
        const numbers = readSpki(spki);
        return numbers.kind === "rsa" ? [numbers.n] : [];
      } catch {
        // Of TPM 1.2, for OAEP alone: the modulus stands in it all the same.
        return [Buffer.from(spki).subarray(-261, -5)];
      }
    });
    for (const modulus of moduli) expect(isRoca(modulus)).toBe(false);
    expect(moduli.length).toBeGreaterThan(5);
  });

  test("a vendor's directory with all authorities accepts the same as each alone", async () => {
    const all = cases.flatMap((one) => authorities(one.name));
    for (const name of named("accept")) await judge(data.read(name, "ek.der"), all);
  });
});

describe.skipIf(data.isMissing)(`NV indices as they were read${data.why}`, () => {
  test("padding after the certificate is cut off", () => {
    const nv = data.read("stm-st33htph-rsa-ff-padded", "nv-read.bin");
    expect(Buffer.from(trimCertificate(nv) ?? [])).toEqual(data.read("stm-st33htph-rsa-ff-padded", "ek.der"));
    expect(nv.length).toBeGreaterThan(1_500);
  });

  test("a header of TPM 1.2 before it, or a certificate of TPM 1.2, does no harm", () => {
    expect(trimCertificate(data.read("stm-st33zp24-tpm12-nv-header", "nv-read.bin"))).toBeUndefined();
    const nuvoton = trimCertificate(data.read("nuvoton-npct6xx-tpm12-padded", "nv-read.bin"));
    if (nuvoton !== undefined) expect(nuvoton.length).toBe(data.read("nuvoton-npct6xx-tpm12-padded", "ek.der").length);
  });

  test("every certificate alone, or padded, is found whole", () => {
    for (const { name } of cases) {
      const der = data.read(name, "ek.der");
      const found = trimCertificate(Buffer.concat([der, Buffer.alloc(64, 0xff)]));
      if (found !== undefined) expect(Buffer.from(found)).toEqual(der);
      else expect(name).toMatch(/tpm12/);
    }
  });
});
