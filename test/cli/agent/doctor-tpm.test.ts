/** What `doctor` decides about a TPM, its device and its endorsement key. */
import { describe, expect, test } from "vitest";
import {
  caIssuers,
  type EkFacts,
  judgeCertificate,
  judgeKey,
  judgeNoKey,
} from "../../../src/cli/agent/doctor/ek-certificate.ts";
import { judgePcrs, judgeTpm, textOf, vendorName } from "../../../src/cli/agent/doctor/tpm.ts";
import { type DeviceFacts, deviceFacts, judgeDevice, judgeLibrary } from "../../../src/cli/agent/doctor/tpm-device.ts";
import { parseProperties, type TpmAnswers } from "../../../src/cli/agent/doctor/tpm-questions.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { oid, sequence, setOf, tlv } from "../../../src/pki/der-writer.ts";
import { Tag } from "../../../src/pki/tags.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { aki, cn, DAY, ecKey, ext, gn, HOUR, makeCa, makeCert, NOW } from "../../pki/make.ts";

const TD = parseTrustDomain("example.org");

function ascii(text: string): number {
  return Buffer.from(text.padEnd(4, "\0"), "latin1").readUInt32BE();
}

describe("device", () => {
  const device = { kind: "device", uid: 0, gid: 61_000, mode: 0o20660 } as const;
  function facts(file: Partial<NonNullable<DeviceFacts["file"]>>, uid = 61_234): DeviceFacts {
    return {
      tcti: "device:/dev/tpmrm0",
      uid,
      file: { path: "/dev/tpmrm0", state: device, refused: undefined, ...file },
    };
  }

  test.each<[string, DeviceFacts, string, string, string]>([
    ["well", facts({}), "ok", "belongs to root (uid 0) and group gid 61000, mode 0660", ""],
    ["alone", facts({ path: "/dev/tpm0" }), "warn", "", "/dev/tpmrm0 is shared"],
    [
      "missing",
      facts({ state: { kind: "missing", isDefault: true }, refused: "ENOENT" }),
      "fail",
      "neither /dev/tpmrm0 nor /dev/tpm0",
      "firmware",
    ],
    [
      "missing by name",
      facts({ state: { kind: "missing", isDefault: false }, refused: "ENOENT" }),
      "fail",
      "which tcti names",
      "correct tcti",
    ],
    ["no device", facts({ state: { kind: "not-a-device" } }), "fail", "is no device", "tcti"],
    ["hidden", facts({ state: { kind: "hidden", errno: "EACCES" }, refused: "EACCES" }), "fail", "EACCES", "enter"],
    ["not in the group", facts({ refused: "EACCES" }), "fail", "uid 61234 may not open it", "user to group gid 61000"],
    [
      "no group at all",
      facts({ refused: "EACCES", state: { ...device, gid: 0, mode: 0o20600 } }),
      "fail",
      "may not open it",
      "udev",
    ],
    ["cgroup", facts({ refused: "EPERM" }), "fail", "EPERM", "DeviceAllow"],
    ["software", { tcti: "swtpm:path=/x", uid: 0 }, "skip", "is no device file", ""],
  ])("%s", (_what, given, status, found, advice) => {
    const verdict = judgeDevice(given);
    expect(verdict.status).toBe(status);
    expect(verdict.found).toContain(found);
    expect(verdict.advice ?? "").toContain(advice);
  });

  test("is looked at", () => {
    expect(deviceFacts("device:/nosuch/tpm", 0, false).file).toMatchObject({ state: { kind: "missing" } });
    expect(deviceFacts("device:/dev/null", 0, false).file).toMatchObject({
      state: { kind: "device" },
      refused: undefined,
    });
    expect(deviceFacts("device:/etc/passwd", 0, false).file).toMatchObject({ state: { kind: "not-a-device" } });
    expect(deviceFacts("swtpm:host=127.0.0.1,port=1", 0, false).file).toBeUndefined();
  });

  test("the library", () => {
    expect(judgeLibrary(null).status).toBe("ok");
    expect(judgeLibrary("libtss2-esys.so.0 is missing")).toMatchObject({
      status: "fail",
      found: "libtss2-esys.so.0 is missing",
    });
  });
});

describe("TPM", () => {
  const properties = new Map([
    [0x105, ascii("IFX")],
    [0x106, ascii("SLB9")],
    [0x107, ascii("670")],
    [0x10b, 0x0007_0055],
    [0x10c, 0x1151_0200],
    [0x200, 0],
    [0x201, 0x8000_0007],
  ]);
  const values = { 0: "00".repeat(32), 7: `01${"00".repeat(31)}` };
  const answers: TpmAnswers = { properties, banks: ["sha1", "sha256"], pcrs: { bank: "sha256", values } };
  const having = (...more: [number, number][]): TpmAnswers => ({
    ...answers,
    properties: new Map([...properties, ...more]),
  });

  test("says who made it", () => {
    expect(judgeTpm(answers)).toEqual({
      status: "ok",
      found: "Infineon SLB9670, firmware 7.85.4433.512",
      details: { manufacturer: "IFX", vendor_string: "SLB9670", firmware: "7.85.4433.512" },
    });
    expect([textOf(ascii("STM ")), vendorName("STM"), vendorName("XYZ")]).toEqual(["STM", "STMicroelectronics", "XYZ"]);
  });

  test("is not in order", () => {
    expect(judgeTpm(having([0x200, 1 << 1]))).toMatchObject({
      status: "fail",
      found: expect.stringContaining("password"),
    });
    expect(judgeTpm(having([0x201, 3]))).toMatchObject({
      status: "fail",
      found: expect.stringContaining("switched off"),
    });
    expect(judgeTpm(having([0x200, 1 << 9], [0x20e, 32], [0x20f, 31], [0x210, 600]))).toMatchObject({
      status: "warn",
      found: expect.stringContaining("32 of 31 wrong passwords"),
      advice: expect.stringContaining("every 600 s"),
    });
    expect(judgeTpm({ found: "no answer", advice: "wait" })).toEqual({
      status: "fail",
      found: "no answer",
      advice: "wait",
    });
  });

  test("PCRs", () => {
    expect(judgePcrs(answers)).toMatchObject({
      status: "ok",
      found: expect.stringContaining("banks sha1, sha256"),
      details: { banks: ["sha1", "sha256"], pcrs: { sha256: values } },
    });
    const zero = { bank: "sha256", values: { 0: "00".repeat(32) } } as const;
    expect(judgePcrs({ ...answers, pcrs: zero })).toMatchObject({
      status: "warn",
      found: expect.stringContaining("all zero"),
    });
    const sha1 = { bank: "sha1", values: { 0: "01".repeat(20) } } as const;
    expect(judgePcrs({ ...answers, banks: ["sha1"], pcrs: sha1 })).toMatchObject({
      status: "warn",
      advice: expect.stringContaining('pcr_bank = "sha1"'),
    });
    expect(judgePcrs({ ...answers, banks: [], pcrs: undefined }).status).toBe("fail");
  });

  test("properties are read strictly", () => {
    const data = Buffer.from("0000000600000002000001054946580000000106534c4239", "hex");
    expect([...parseProperties(data)]).toEqual([
      [0x105, ascii("IFX")],
      [0x106, ascii("SLB9")],
    ]);
    expect(() => parseProperties(data.subarray(0, 20))).toThrow("cut short");
    expect(() => parseProperties(Buffer.concat([data, data]))).toThrow("trailing");
    expect(() => parseProperties(Buffer.from("0000000500000000", "hex"))).toThrow("not about properties");
    expect(() => parseProperties(Buffer.from("00000006ffffffff", "hex"))).toThrow("4294967295 properties");
  });
});

describe("endorsement key", () => {
  const ca = makeCa(undefined, { name: cn("Vendor CA 003"), notBefore: NOW - 90 * DAY, notAfter: NOW + 90 * DAY });
  const HASH = "ab".repeat(32);

  function model(manufacturer: string): Uint8Array {
    const attribute = (type: string, value: string): Uint8Array =>
      setOf(sequence(oid(type), tlv(Tag.UTF8_STRING, Buffer.from(value))));
    return sequence(
      attribute("2.23.133.2.1", manufacturer),
      attribute("2.23.133.2.2", "SLB 9670"),
      attribute("2.23.133.2.3", "id:0755"),
    );
  }

  const access = (method: string, url: string): Uint8Array => sequence(oid(method), gn.uri(url));
  const AIA = ext.raw(
    "1.3.6.1.5.5.7.1.1",
    false,
    sequence(
      access("1.3.6.1.5.5.7.48.1", "http://ocsp.example"),
      access("1.3.6.1.5.5.7.48.2", "http://pki.example/ca003.crt"),
    ),
  );

  function certificate(
    manufacturer = "id:49465800",
    notAfter = NOW + DAY,
    usage = ext.usage("keyEncipherment"),
  ): Uint8Array {
    const extensions = [ext.notCa, usage, aki(ca.key), ext.san(gn.directory(model(manufacturer))), AIA];
    return makeCert(ca, { key: ecKey(), name: cn("ek"), extensions, notBefore: NOW - HOUR, notAfter }).der;
  }

  function facts(der: Uint8Array | undefined, more: Partial<EkFacts> = {}): EkFacts {
    const key = { kind: "ec-p256", hash: HASH, certificate: der } as const;
    return { key, trustDomain: TD, now: NOW, storedHash: undefined, hasJoined: false, ...more };
  }

  test("names the agent", () => {
    expect(judgeKey(facts(undefined))).toEqual({
      status: "ok",
      found: `ec-p256; the agent's ID is spiffe://example.org/spire/agent/tpm/${HASH}`,
      details: { kind: "ec-p256", pub_hash: HASH, agent_id: `spiffe://example.org/spire/agent/tpm/${HASH}` },
    });
    expect(judgeKey(facts(undefined, { storedHash: HASH })).status).toBe("ok");
    expect(judgeKey(facts(undefined, { storedHash: "cd".repeat(32) }))).toMatchObject({
      status: "warn",
      found: expect.stringContaining("cd".repeat(32)),
    });
    expect(judgeNoKey({ found: "the certificate is not the key's", advice: undefined })).toMatchObject({
      status: "fail",
      advice: expect.stringContaining("`ek`"),
    });
  });

  test("has a certificate: its maker, and what the server needs", () => {
    const verdict = judgeCertificate(facts(certificate()));
    expect(verdict).toMatchObject({
      status: "ok",
      found: expect.stringContaining('Infineon SLB 9670 (version id:0755), issued by "CN=Vendor CA 003"'),
      advice: `put the certificate of "CN=Vendor CA 003" (http://pki.example/ca003.crt) into the server's ca_path, or an empty file ${HASH} into the server's hash_path`,
      details: {
        issuer: "CN=Vendor CA 003",
        manufacturer: "id:49465800",
        ca_issuers: ["http://pki.example/ca003.crt"],
      },
    });
    const joined = judgeCertificate(facts(certificate(), { hasJoined: true }));
    expect(joined.status).toBe("ok");
    expect(joined.advice).toBeUndefined();
  });

  test("a maker that is not one of the known", () => {
    expect(judgeCertificate(facts(certificate("id:00001014"))).found).toMatch(/^id:00001014 SLB 9670/);
    expect(judgeCertificate(facts(certificate("Some Maker"))).found).toMatch(/^Some Maker SLB 9670/);
  });

  test.each<[string, EkFacts, string]>([
    ["none", facts(undefined), "the TPM holds none"],
    ["expired", facts(certificate("id:49465800", NOW - 60_000)), "expired"],
    [
      "of a signing key",
      facts(certificate("id:49465800", NOW + DAY, ext.usage("digitalSignature"))),
      "does not follow the profile",
    ],
    ["not one", facts(Uint8Array.of(1, 2, 3)), "does not follow the profile"],
  ])("%s: its hash would do", (_what, given, found) => {
    const verdict = judgeCertificate(given);
    expect(verdict.status).toBe("warn");
    expect(verdict.found).toContain(found);
    expect(verdict.advice).toContain(`an empty file ${HASH} into the server's hash_path`);
  });

  test("where the issuer is found is only a hint", () => {
    const read = (value: Uint8Array): readonly string[] => {
      const der = makeCert(ca, { extensions: [ext.raw("1.3.6.1.5.5.7.1.1", false, value)] }).der;
      return caIssuers(parseCertificate(der));
    };
    expect(read(sequence(access("1.3.6.1.5.5.7.48.2", "http://a"), access("1.3.6.1.5.5.7.48.2", "ldap://b")))).toEqual([
      "http://a",
      "ldap://b",
    ]);
    expect(read(sequence(Uint8Array.of(5, 0)))).toEqual([]);
    expect(caIssuers(parseCertificate(ca.der))).toEqual([]);
  });
});
