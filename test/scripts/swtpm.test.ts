import { spawn } from "node:child_process";
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EK_CERTIFICATE_INDEX, EK_HANDLE, Swtpm, SwtpmCa } from "../../scripts/lib/swtpm.ts";
import { TpmResponseError } from "../../scripts/lib/tpm-commands.ts";

const folder = mkdtempSync(join(tmpdir(), "hf-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ZEROS = new Uint8Array(32);
const GET_RANDOM = Buffer.from("80010000000c0000017b0008", "hex");

function extended(value: Uint8Array, digest: Uint8Array, hash = "sha256"): Uint8Array {
  return new Uint8Array(createHash(hash).update(value).update(digest).digest());
}

/** The certificate at an NV index; throws when there is none or the vendor did not issue it. */
async function certificateAt(tpm: Swtpm, index: number): Promise<X509Certificate> {
  const content = await tpm.tpm.nvRead(index);
  if (content === undefined) throw new Error("nothing there");
  const certificate = new X509Certificate(content);
  const [issuer, root] = tpm.roots.map((path) => new X509Certificate(readFileSync(path)));
  expect(certificate.verify(issuer!.publicKey)).toBe(true);
  expect(issuer!.verify(root!.publicKey)).toBe(true);
  return certificate;
}

function curve(certificate: X509Certificate): string | undefined {
  return createPublicKey(certificate.publicKey.export({ format: "pem", type: "spki" })).asymmetricKeyDetails
    ?.namedCurve;
}

describe.skipIf(Swtpm.missing() !== undefined)("swtpm", () => {
  let tpm: Swtpm;
  let ca: SwtpmCa;
  beforeAll(async () => {
    ca = await SwtpmCa.create(join(folder, "ca"));
    tpm = await Swtpm.start({ folder: join(folder, "a"), ca });
  });
  afterAll(async () => tpm?.[Symbol.asyncDispose]());

  test("has the RSA and P-384 certificates of its vendor and nothing loaded", async () => {
    expect(tpm.tcti).toBe(`swtpm:path=${tpm.socketPath}`);
    expect((await certificateAt(tpm, EK_CERTIFICATE_INDEX.rsa)).publicKey.asymmetricKeyType).toBe("rsa");
    expect(curve(await certificateAt(tpm, EK_CERTIFICATE_INDEX.p384))).toBe("secp384r1");
    expect(await tpm.tpm.nvRead(EK_CERTIFICATE_INDEX.p256)).toBeUndefined();
    expect(await tpm.tpm.handles(0x81000000)).toEqual([]);
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
  });

  test("extends PCRs, and starts them anew at a reboot", async () => {
    const before = await tpm.tpm.resetCount();
    const digest = Buffer.alloc(32, 7);
    expect(await tpm.readPcr("sha256", 9)).toEqual(ZEROS);
    await tpm.extend("sha256", 9, digest);
    await tpm.extend("sha256", 9, digest);
    expect(await tpm.readPcr("sha256", 9)).toEqual(extended(extended(ZEROS, digest), digest));
    expect(await tpm.readPcr("sha256", 8)).toEqual(ZEROS);

    await tpm.restart();
    expect(await tpm.readPcr("sha256", 9)).toEqual(ZEROS);
    expect(await tpm.tpm.resetCount()).toBe(before + 1);
    await certificateAt(tpm, EK_CERTIFICATE_INDEX.rsa);
  });

  test("reboots below a client that holds the connection", async () => {
    const before = await tpm.tpm.resetCount();
    const client = connect(tpm.socketPath);
    client.write(GET_RANDOM);
    await once(client, "data");
    client.on("error", () => undefined);
    const closed = once(client, "close");
    await expect(tpm.command(GET_RANDOM, 50)).rejects.toThrow(/no answer after 50 ms/);
    await tpm.restart();
    await closed;
    expect(await tpm.tpm.resetCount()).toBe(before + 1);
  });

  test("pauses, goes on, is killed and comes back", async () => {
    tpm.pause();
    await expect(tpm.command(GET_RANDOM, 50)).rejects.toThrow(/no answer/);
    tpm.resume();
    expect((await tpm.command(GET_RANDOM)).length).toBe(20);

    tpm.pause();
    await tpm.kill();
    await expect(tpm.command(GET_RANDOM)).rejects.toThrow(/ECONNREFUSED/);
    await tpm.restart();
    expect((await tpm.command(GET_RANDOM)).length).toBe(20);
  });

  test("counts what a client left loaded", async () => {
    const startSession = `80010000002b00000176${"40000007".repeat(2)}0010${"11".repeat(16)}0000010010000b`;
    await tpm.command(Buffer.from(startSession, "hex"));
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 1 });
    await tpm.restart();
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });
  });

  test("tells why the TPM refused a command", async () => {
    await expect(tpm.extend("sha256", 24, ZEROS)).rejects.toThrow(TpmResponseError);
    await expect(tpm.extend("sha256", 1, new Uint8Array(20))).rejects.toThrow("has 32 bytes, not 20");
    await expect(tpm.readPcr("sha1", 1)).rejects.toThrow("no PCR 1 in a bank sha1");
  });

  test("has a P-256 certificate, persistent keys and other banks when told", async () => {
    await using other = await Swtpm.start({
      folder: join(folder, "b"),
      ca,
      ekCertificates: ["p256"],
      persistentEk: ["rsa", "p256", "p384"],
      banks: ["sha1", "sha384"],
    });
    const certificate = await certificateAt(other, EK_CERTIFICATE_INDEX.p256);
    expect(curve(certificate)).toBe("prime256v1");
    expect(certificate.keyUsage).toEqual(["2.23.133.8.1"]);
    for (const kind of ["rsa", "p384"] as const)
      expect(await other.tpm.nvRead(EK_CERTIFICATE_INDEX[kind])).toBeUndefined();
    expect(await other.tpm.handles(0x81000000)).toEqual([EK_HANDLE.rsa, EK_HANDLE.p256, EK_HANDLE.p384]);
    // TPM2_ReadPublic: the persistent key is the one of the certificate.
    const command = Buffer.concat([Buffer.from("80010000000e00000173", "hex"), Buffer.from("81010002", "hex")]);
    const point = certificate.publicKey.export({ format: "der", type: "spki" }).subarray(-64);
    const answer = Buffer.from(await other.command(command));
    expect(answer.includes(point.subarray(0, 32)) && answer.includes(point.subarray(32))).toBe(true);

    await other.extend("sha1", 0, new Uint8Array(20));
    expect(await other.readPcr("sha1", 0)).toEqual(extended(new Uint8Array(20), new Uint8Array(20), "sha1"));
    expect(await other.readPcr("sha384", 0)).toEqual(new Uint8Array(48));
    await expect(other.readPcr("sha256", 0)).rejects.toThrow("no PCR 0");
  });

  test("has no certificate, of another vendor, when told", async () => {
    await using bare = await Swtpm.start({ folder: join(folder, "c"), ekCertificates: [] });
    for (const index of Object.values(EK_CERTIFICATE_INDEX)) expect(await bare.tpm.nvRead(index)).toBeUndefined();
    const [ours, theirs] = [tpm.roots, bare.roots].map(([, root]) => new X509Certificate(readFileSync(root!)));
    expect(ours!.fingerprint256).not.toBe(theirs!.fingerprint256);
    await bare.lockout();
    const permanent = await bare.command(Buffer.from("8001000000160000017a000000060000020000000001", "hex"));
    expect(Buffer.from(permanent).readUInt32BE(permanent.length - 4) & 0x200).toBe(0x200);
    const { pid } = bare;
    await bare[Symbol.asyncDispose]();
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test("dies with the process that started it", async () => {
    const where = join(folder, "d");
    const program = `
      const { Swtpm } = await import(${JSON.stringify(join(import.meta.dirname, "../../scripts/lib/swtpm.ts"))});
      const tpm = await Swtpm.start({ folder: ${JSON.stringify(where)} });
      process.stdout.write(String(tpm.pid));`;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = String((await once(owner.stdout, "data"))[0]);
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    owner.kill("SIGKILL");
    await once(owner, "exit");
    await expect.poll(() => stateOf(pid)).toMatch(/gone|Z/);
  });

  test("says what is wrong with a folder, or with what swtpm_setup was told", async () => {
    await expect(Swtpm.start({ folder: join(folder, "x".repeat(100)) })).rejects.toThrow("too long");
    await expect(Swtpm.start({ folder: join(folder, "a b") })).rejects.toThrow("comma or space");
    await expect(Swtpm.start({ folder: join(folder, "e"), ca, banks: ["md5" as "sha1"] })).rejects.toThrow(
      /swtpm_setup failed:[\s\S]*No PCR banks/,
    );
  });
});

test("names the packages of missing programs", () => {
  const { PATH } = process.env;
  process.env.PATH = folder;
  try {
    expect(Swtpm.missing()).toContain("Debian packages swtpm, swtpm-tools");
  } finally {
    process.env.PATH = PATH;
  }
});

/** The state of a process in /proc, or "gone". */
function stateOf(pid: string): string {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
  } catch {
    return "gone";
  }
}
