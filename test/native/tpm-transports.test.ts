/** The ways to a TPM: devices, sockets, transports of libtss2; names that are none; and no libtss2. */
import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Swtpm } from "../../scripts/lib/swtpm.ts";
import { ADDON_FILE, Child, loadAddon, openFiles, TestFolder, works } from "./support.ts";
import {
  AK_TEMPLATES,
  Between,
  MISSING,
  open,
  PCRS,
  quick,
  rejection,
  SRK,
  slow,
  startTpm,
  WHY,
} from "./tpm-support.ts";

const addon = loadAddon();

describe.skipIf(MISSING !== undefined)(`a software TPM${WHY}`, () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startTpm();
  });
  afterAll(() => tpm[Symbol.asyncDispose]());

  test.each(["127.0.0.1", "localhost"])("over TCP at %s", async (host) => {
    await using between = await new Between(tpm, () => undefined).listen({ host: "127.0.0.1", port: 0 });
    await using handle = await open(`swtpm:host=${host},port=${between.port}`);
    expect(await quick(handle)).toBeInstanceOf(Buffer);
  });

  test("by a transport of libtss2", async () => {
    await using handle = await open(`libtss2-tcti-swtpm.so.0:path=${tpm.socketPath}`);
    expect(await quick(handle)).toBeInstanceOf(Buffer);
    const closed = rejection(slow(handle));
    await tpm.kill();
    expect(await closed).toMatchObject({ code: "ERR_TPM_GONE" });
    expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_GONE" });
    await tpm.restart();
  });

  test.skipIf(!works("python3", "-c", "import pty"))("as a character device (where python3 has pty)", async () => {
    await using bridge = new Child("python3", ["-c", PTY_BRIDGE, tpm.socketPath]);
    const device = await bridge.line();
    await using handle = await open(`device:${device}`);
    expect(await quick(handle)).toBeInstanceOf(Buffer);
    const ak = await handle.createAk(SRK, AK_TEMPLATES.ecc);
    expect((await handle.quote(SRK, ak, Buffer.alloc(32), PCRS)).attest).toBeInstanceOf(Buffer);
    await bridge.kill();
    expect(await rejection(quick(handle))).toMatchObject({ code: "ERR_TPM_GONE" });
  });

  test.each([
    { name: "device:/missing/tpm0", code: "ENOENT" },
    { name: "device:/dev", code: "EISDIR" },
    { name: `device:${ADDON_FILE}`, code: "ENODEV" },
    { name: "device:", code: "EINVAL" },
    { name: "swtpm:path=/missing/socket", code: "ENOENT" },
    { name: "swtpm:path=", code: "EINVAL" },
    { name: `swtpm:path=/${"x".repeat(108)}`, code: "ENAMETOOLONG" },
    { name: "swtpm:", code: "EINVAL" },
    { name: "swtpm:host=example.org,port=1", code: "EINVAL" },
    { name: "swtpm:host=127.0.0.1,port=65536", code: "EINVAL" },
    { name: "swtpm:host=127.0.0.1,port=", code: "EINVAL" },
    { name: "swtpm:host=127.0.0.1,port=1", code: "ECONNREFUSED" },
    { name: "no-such-transport", code: "ERR_TPM" },
    { name: "a\0b", code: "EINVAL" },
  ])("opening $name fails with $code", async ({ name, code }) => {
    const before = openFiles();
    const error = await rejection(addon.openTpm(name, 1_000));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^[\w :=,./()'-]+$/);
    expect(openFiles()).toBe(before);
  });

  test("opening wants a name and a time", async () => {
    expect(await rejection(addon.openTpm(1 as unknown as string, 1_000))).toBeInstanceOf(TypeError);
    for (const timeout of [0, 1.5, 2 ** 31]) {
      expect(await rejection(addon.openTpm(tpm.tcti, timeout))).toBeInstanceOf(TypeError);
    }
  });
});

// Hides a library from one process. Root may mount as it is; others need a user namespace, which some hosts forbid.
const UNSHARE = [["--mount"], ["--user", "--map-root-user", "--mount"]].find((flags) =>
  works("unshare", ...flags, "mount", "--bind", "/dev/null", "/etc/hostname"),
);

describe.skipIf(UNSHARE === undefined || MISSING !== undefined)(
  `where a library is missing (where unshare may mount)${WHY}`,
  () => {
    /** Runs a script with the addon as `process.argv[1]` and a tcti as `process.argv[2]`. */
    function hiding(library: string, script: string, tcti: string): string {
      const file = readFileSync("/proc/self/maps", "utf8").match(new RegExp(`/\\S*/${library}\\S*`))?.[0];
      using folder = new TestFolder();
      const empty = join(folder.path, "empty");
      writeFileSync(empty, "");
      const command = `mount --bind "$0" "$1" && shift && exec "$@"`;
      const node = [process.execPath, "-e", script, "--", ADDON_FILE, tcti];
      const args = ["sh", "-c", command, empty, realpathSync(String(file)), ...node];
      return execFileSync("unshare", [...(UNSHARE ?? []), ...args], { encoding: "utf8" }).trim();
    }

    test("the rest of the addon works, and the TPM says what is missing", () => {
      const script = `const addon = require(process.argv[1]);
        addon.setUmask(addon.setUmask(0));
        const why = addon.tpmUnavailable();
        addon.openTpm(process.argv[2], 1000).catch(({ code, message }) => {
          console.log(JSON.stringify({ why, code, message }));
        });`;
      const { why, code, message } = JSON.parse(hiding("libtss2-esys", script, "device:/dev/tpmrm0"));
      expect(why).toMatch(/^libtss2 cannot be used \(Debian package libtss2-esys.*libtss2-esys\.so\.0: file too short/);
      expect(code).toBe("ERR_TPM_LIBRARY");
      expect(message).toContain(why);
    });

    test("without the texts of errors there are their numbers", async () => {
      await using tpm = await startTpm();
      const script = `const addon = require(process.argv[1]);
        addon.openTpm(process.argv[2], 1000).then((handle) => handle.getCapability(0xffff, 0, 1))
          .catch(({ message }) => console.log(message));`;
      expect(hiding("libtss2-rc", script, tpm.tcti)).toBe("Esys_GetCapability: 0x1c4");
    });
  },
);

/** Prints the name of a terminal, and carries bytes between it and a socket. */
const PTY_BRIDGE = `
import os, pty, select, socket, sys, tty
master, slave = pty.openpty()
tty.setraw(slave)
tpm = socket.socket(socket.AF_UNIX)
tpm.connect(sys.argv[1])
print(os.ttyname(slave), flush=True)
while True:
    for ready in select.select([master, tpm], [], [])[0]:
        if ready == master: tpm.sendall(os.read(master, 4096))
        else: os.write(master, tpm.recv(4096))
`;
