/** The folders of vendors' certificates and of hashes: read as they are at each attestation, and closed when in doubt. */

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_EK_FOLDERS, EkDirectory, type EkFolders } from "../../../src/attestors/tpm/ek-directory.ts";
import { verifyEkCertificate } from "../../../src/attestors/tpm/verify/ek-certificate.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { errorText } from "../../../src/lib/errors.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { pemEncode } from "../../../src/pki/pem.ts";
import { softEk } from "../../fakes/soft-tpm/tpm.ts";
import { ekCertificate, makeVendor } from "../../fakes/soft-tpm/vendor.ts";
import { type Line, recordingLogger } from "./server-harness.ts";
import { expectRefusal } from "./vector.ts";

let folder: string;
let certs: string;
let hashes: string;
const lines: Line[] = [];
const vendor = makeVendor();
const other = makeVendor("Other");
const HASH = "ab".repeat(32);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ek-"));
  certs = join(folder, "certs");
  hashes = join(folder, "hashes");
  for (const path of [certs, hashes]) mkdirSync(path);
  lines.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Time stands still unless a test lets it pass; each look below comes a second after the one before. */
let now = 0;
const clock = { ...systemClock, monotonic: () => now };
const open = async (
  folders: Partial<EkFolders> = { caPath: certs, hashPath: hashes },
  defaults: Partial<EkFolders> = {},
): Promise<EkDirectory> => {
  const none = { caPath: undefined, hashPath: undefined };
  const deps = { clock, log: recordingLogger(lines) };
  const directory = await EkDirectory.open({ ...none, ...folders }, deps, { ...none, ...defaults });
  now += 1_000;
  return directory;
};
const errors = (): readonly Line[] => lines.filter(({ level }) => level === "error");
/** As root, too: the address zero of our own memory, and a link to itself. */
const UNREADABLE = [
  ["a file that cannot be read", "/proc/self/mem"],
  ["a file that cannot be looked at", "unreadable"],
] as const;
const put = (name: string, content: string | Uint8Array): void => writeFileSync(join(certs, name), content);
const pem = (...ders: Uint8Array[]): string => ders.map((der) => pemEncode("CERTIFICATE", der)).join("");
const subjects = async (directory: EkDirectory): Promise<readonly string[]> =>
  ((await directory.authorities()) ?? []).map(({ subject }) => subject.text);
const refused = async (work: Promise<unknown>, code: string): Promise<string> => {
  const error: unknown = await work.then(
    () => new Error("was accepted"),
    (reason: unknown) => reason,
  );
  now += 1_000;
  expect(error).toMatchObject({ code });
  return errorText(error);
};

describe("the folders", () => {
  test("that are configured must be there", async () => {
    const missing = join(folder, "missing");
    expect(await refused(open({ caPath: missing }), "FAILED_PRECONDITION")).toBe(
      `NodeAttestor "tpm": ca_path '${missing}' does not exist`,
    );
    expect(await refused(open({ caPath: certs, hashPath: missing }), "FAILED_PRECONDITION")).toBe(
      `NodeAttestor "tpm": hash_path '${missing}' does not exist`,
    );
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(await refused(open({ hashPath: file }), "FAILED_PRECONDITION")).toBe(
      `NodeAttestor "tpm": hash_path '${file}' is no folder`,
    );
    expect(await refused(open({ hashPath: join(file, "x") }), "FAILED_PRECONDITION")).toContain("does not exist");
  });

  test("one is enough, none is not", async () => {
    expect(DEFAULT_EK_FOLDERS).toEqual({ caPath: "/opt/spire/.data/certs", hashPath: "/opt/spire/.data/hashes" });
    await open({ caPath: certs });
    await open({ hashPath: hashes });
    expect(await refused(open({}), "FAILED_PRECONDITION")).toBe(
      'NodeAttestor "tpm": either ca_path, hash_path, or both are required',
    );
  });

  test("of the SPIFFE-hosted plugin are used where none is configured", async () => {
    put("a.pem", pem(vendor.root.der));
    writeFileSync(join(hashes, HASH), "");
    const both = await open({}, { caPath: certs, hashPath: hashes });
    expect([await subjects(both), await both.lists(HASH)]).toEqual([["CN=Test vendor root"], true]);
    const missing = join(folder, "missing");
    expect(await subjects(await open({}, { caPath: certs, hashPath: missing }))).toEqual(["CN=Test vendor root"]);
    expect(await (await open({}, { caPath: missing, hashPath: hashes })).lists(HASH)).toBe(true);
    await refused(open({}, { caPath: missing, hashPath: missing }), "FAILED_PRECONDITION");
  });

  test("of the SPIFFE-hosted plugin do not widen what an operator chose", async () => {
    const [otherCerts, otherHashes] = [join(folder, "certs-left"), join(folder, "hashes-left")];
    for (const path of [otherCerts, otherHashes]) mkdirSync(path);
    writeFileSync(join(otherCerts, "a.pem"), pem(other.root.der));
    writeFileSync(join(otherHashes, HASH), "");
    const left = { caPath: otherCerts, hashPath: otherHashes };
    const vendors = await open({ caPath: certs }, left);
    expect([await subjects(vendors), await vendors.lists(HASH)]).toEqual([[], false]);
    const listed = await open({ hashPath: hashes }, left);
    expect([await listed.authorities(), await listed.lists(HASH)]).toEqual([undefined, false]);
  });

  test("are told when they are opened, and how many are trusted", async () => {
    put("bundle.pem", pem(vendor.root.der, vendor.issuer.der));
    put("other.der", other.root.der);
    const told = () => lines.splice(0).filter(({ level }) => level !== "debug");
    const vendors = {
      level: "info",
      message: "Trusting TPM vendors' certificates",
      fields: { path: certs, files: 2, certificates: 3 },
    };
    const listed = { level: "info", message: "Admitting listed endorsement keys", fields: { path: hashes } };
    await open();
    expect(told()).toEqual([vendors, listed]);
    await open({ caPath: certs });
    expect(told()).toEqual([vendors]);
    await open({}, { hashPath: hashes });
    expect(told()).toEqual([listed]);
  });

  test("without one of vendors, no vendor is trusted; without one of hashes, no key is listed", async () => {
    expect(await (await open({ hashPath: hashes })).authorities()).toBeUndefined();
    writeFileSync(join(hashes, HASH), "");
    expect(await (await open({ caPath: certs })).lists(HASH)).toBe(false);
  });

  test("an empty folder of vendors trusts nobody", async () => {
    const authorities = await (await open()).authorities();
    expect(authorities).toEqual([]);
    const judge = async () =>
      verifyEkCertificate(parseCertificate(ekCertificate(vendor, softEk("ec-p256"))), authorities ?? [], Date.now());
    await expectRefusal(judge(), "ek-certificate-chain");
  });
});

describe("vendors' certificates", () => {
  test("PEM bundles and DER, of any name, in the order of names; folders are left out", async () => {
    put("b.pem", `text before\n${pem(vendor.root.der, vendor.issuer.der)}text after\n`);
    put("a", other.root.der);
    mkdirSync(join(certs, "c"));
    symlinkSync(join(certs, "a"), join(certs, "d.link"));
    const directory = await open();
    expect(await subjects(directory)).toEqual([
      "CN=Other root",
      "CN=Test vendor root",
      "CN=Test vendor issuer",
      "CN=Other root",
    ]);
  });

  test.each([
    ["a file that is nothing", Buffer.from("hello"), "is no CA certificate"],
    ["an empty file", Buffer.alloc(0), "is no CA certificate"],
    ["DER cut short", vendor.root.der.subarray(0, -1), "is no CA certificate"],
    ["PEM of a key", Buffer.from(pemEncode("PUBLIC KEY", vendor.root.key.spki)), "holds no certificate"],
    ["PEM cut short", Buffer.from(pem(vendor.root.der).slice(0, -10)), "cannot be read as PEM"],
    ["PEM of one that is no certificate", Buffer.from(pem(Buffer.from("x"))), "is no CA certificate"],
    ["more than 4 MiB", Buffer.alloc(4 * 1024 * 1024 + 1), "is longer than 4194304 bytes"],
  ])("%s keeps the server from starting", async (_name, content, problem) => {
    put("good.pem", pem(vendor.root.der));
    put("bad", content);
    expect(await refused(open(), "MALFORMED")).toContain(`${join(certs, "bad")} ${problem}`);
  });

  test("of a bundle, one that cannot be read is left out, and the log tells which", async () => {
    put("bundle.pem", pem(vendor.root.der, Buffer.from("not a certificate"), other.root.der));
    expect(await subjects(await open())).toEqual(["CN=Test vendor root", "CN=Other root"]);
    const warning = lines.find(({ level }) => level === "warn");
    expect(warning).toMatchObject({
      message: "A vendor's certificate is not readable and left out",
      fields: { path: join(certs, "bundle.pem"), number: 2 },
    });
  });

  test("more than a thousand files are refused", async () => {
    for (let count = 0; count <= 1_000; count++) put(`${count}`, "");
    expect(await refused(open(), "MALFORMED")).toContain("has more than 1000 files");
  });

  test("are read again when their file changed, came or went, and not otherwise", async () => {
    put("a.pem", pem(vendor.root.der));
    const directory = await open();
    const [first] = (await directory.authorities()) ?? [];
    const [same] = (await directory.authorities()) ?? [];
    expect(same).toBe(first);
    put("b.pem", pem(other.root.der));
    // Not before a second has passed since the last look.
    expect(await subjects(directory)).toEqual(["CN=Test vendor root"]);
    now += 1_000;
    expect(await subjects(directory)).toEqual(["CN=Test vendor root", "CN=Other root"]);
    expect((await directory.authorities())?.[0]).toBe(first);
    rmSync(join(certs, "a.pem"));
    now += 1_000;
    expect(await subjects(directory)).toEqual(["CN=Other root"]);
  });

  test("a file that was replaced by one of the same length and time is read again", async () => {
    const same = makeVendor("Tset vendor");
    put("a.pem", pem(vendor.root.der));
    const directory = await open();
    const when = new Date(1_700_000_000_000);
    utimesSync(join(certs, "a.pem"), when, when);
    expect(await subjects(directory)).toEqual(["CN=Test vendor root"]);
    now += 1_000;
    put("b.pem", pem(same.root.der));
    utimesSync(join(certs, "b.pem"), when, when);
    renameSync(join(certs, "b.pem"), join(certs, "a.pem"));
    expect(await subjects(directory)).toEqual(["CN=Tset vendor root"]);
  });

  test("a file that breaks later counts as it was, until it is mended; the log says so once for each version", async () => {
    put("a.pem", pem(vendor.root.der));
    put("b.pem", pem(other.root.der));
    const directory = await open();
    const all = ["CN=Test vendor root", "CN=Other root"];
    for (const [times, content] of ["-----BEGIN nothing", "", pem(vendor.root.der).slice(0, -30)].entries()) {
      put("a.pem", content);
      for (let look = 0; look < 3; look++, now += 1_000) expect(await subjects(directory)).toEqual(all);
      expect(errors()).toHaveLength(times + 1);
    }
    expect(errors()[0]).toMatchObject({
      message: "A file of vendors' certificates cannot be used; what it held before stays trusted",
      fields: {
        path: join(certs, "a.pem"),
        certificates: 1,
        error: expect.stringContaining(`${join(certs, "a.pem")} cannot be read as PEM`),
      },
    });
    put("a.pem", pem(vendor.issuer.der));
    expect(await subjects(directory)).toEqual(["CN=Test vendor issuer", "CN=Other root"]);
    expect(errors()).toHaveLength(3);
  });

  test("a file that was broken and is gone is trusted no more", async () => {
    put("a.pem", pem(vendor.root.der));
    const directory = await open();
    put("a.pem", "nothing");
    expect(await subjects(directory)).toEqual(["CN=Test vendor root"]);
    rmSync(join(certs, "a.pem"));
    now += 1_000;
    expect(await subjects(directory)).toEqual([]);
  });

  test("a file that comes and is broken holds nothing, and takes nothing from the others", async () => {
    put("a.pem", pem(vendor.root.der));
    const directory = await open();
    put("b.pem", "nothing");
    put("c.pem", pem(other.root.der));
    expect(await subjects(directory)).toEqual(["CN=Test vendor root", "CN=Other root"]);
    expect(errors()).toMatchObject([{ fields: { path: join(certs, "b.pem"), certificates: 0 } }]);
  });

  test.each(UNREADABLE)("%s keeps the server from starting", async (_name, target) => {
    symlinkSync(target, join(certs, "unreadable"));
    expect(await refused(open(), "UNAVAILABLE")).toContain(`cannot read ${join(certs, "unreadable")}`);
  });

  test.each(UNREADABLE)(
    "%s that comes later is told once, and takes nothing from the others",
    async (_name, target) => {
      put("a.pem", pem(vendor.root.der));
      const directory = await open();
      symlinkSync(target, join(certs, "unreadable"));
      for (let look = 0; look < 3; look++, now += 1_000) {
        expect(await subjects(directory)).toEqual(["CN=Test vendor root"]);
      }
      expect(errors()).toMatchObject([
        { fields: { error: expect.stringContaining(`cannot read ${join(certs, "unreadable")}`) } },
      ]);
    },
  );

  test("a file that becomes unreadable counts as it was", async () => {
    put("a.pem", pem(vendor.root.der));
    const directory = await open();
    rmSync(join(certs, "a.pem"));
    symlinkSync("/proc/self/mem", join(certs, "a.pem"));
    expect(await subjects(directory)).toEqual(["CN=Test vendor root"]);
    expect(errors()).toMatchObject([{ fields: { path: join(certs, "a.pem"), certificates: 1 } }]);
  });

  test("files whose names begin with a dot are no part of it, at the start and later", async () => {
    put(".a.pem.swp", "nothing");
    put(".good.pem", pem(other.root.der));
    put("a.pem", pem(vendor.root.der));
    const directory = await open();
    put(".b.pem.tmp", "nothing");
    expect(await subjects(directory)).toEqual(["CN=Test vendor root"]);
    expect(lines.filter(({ level }) => level !== "debug" && level !== "info")).toEqual([]);
  });

  test("a folder that went away refuses everyone", async () => {
    const directory = await open();
    rmSync(certs, { recursive: true });
    expect(await refused(directory.authorities(), "UNAVAILABLE")).toContain(`cannot read ${certs}`);
  });
});

describe("hashes", () => {
  test("a key is listed while a file has its name, whatever the file holds", async () => {
    const directory = await open();
    expect(await directory.lists(HASH)).toBe(false);
    writeFileSync(join(hashes, HASH), "a note");
    expect(await directory.lists(HASH)).toBe(true);
    expect(await directory.lists("cd".repeat(32))).toBe(false);
    rmSync(join(hashes, HASH));
    expect(await directory.lists(HASH)).toBe(false);
  });

  test("a name in capitals, or with an ending, lists nothing", async () => {
    const directory = await open();
    for (const name of [HASH.toUpperCase(), `${HASH}.pem`, ` ${HASH}`]) writeFileSync(join(hashes, name), "");
    expect(await directory.lists(HASH)).toBe(false);
  });

  test("a folder that went away lists nobody", async () => {
    const directory = await open();
    rmSync(hashes, { recursive: true });
    expect(await directory.lists(HASH)).toBe(false);
  });

  test("a name that cannot be looked at refuses", async () => {
    const directory = await open();
    symlinkSync(HASH, join(hashes, HASH));
    expect(await refused(directory.lists(HASH), "UNAVAILABLE")).toContain("cannot read");
  });
});
