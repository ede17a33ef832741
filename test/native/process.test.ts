/** What a daemon does to itself: service manager, core dumps, open files, umask. Each in a child, for it cannot be undone. */
import { once } from "node:events";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ADDON_FILE, Child, codeOf, loadAddon, openFiles, TestFolder, works } from "./support.ts";

const addon = loadAddon();
const isRoot = process.getuid?.() === 0;

test("exports what the ports declare, and nothing else", () => {
  expect(Object.keys(addon).sort()).toEqual(
    // oxlint-disable-next-line typescript/require-array-sort-compare
    [
      "disableCoreDumps",
      "lockFile",
      "openTpm",
      "peerCredentials",
      "raiseFileLimit",
      "sdNotify",
      "listeningPath",
      "setDumpable",
      "setUmask",
      "tpmUnavailable",
    ].sort(),
  );
});

/** Receives datagrams and prints each, when told to by a line. */
const RECEIVER = `
import socket, sys
path = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind("\\0" + path[1:] if path[0] == "@" else path)
print("bound", flush=True)
for _ in sys.stdin:
    print(repr(receiver.recv(65536)), flush=True)
`;

describe.skipIf(!works("python3", "-c", "import socket"))(
  "sdNotify, received by python3 (which must be installed)",
  () => {
    test.each(["path", "abstract"])("by %s", async (form) => {
      using folder = new TestFolder();
      const address = form === "path" ? join(folder.path, "notify") : `@holdfast-test-${process.pid}`;
      await using receiver = new Child("python3", ["-c", RECEIVER, address]);
      expect(await receiver.line()).toBe("bound");
      const before = openFiles();
      addon.sdNotify(address, "READY=1\nSTATUS=grün");
      addon.sdNotify(address, "x".repeat(4096));
      expect(openFiles()).toBe(before);
      receiver.send("");
      expect(await receiver.line()).toBe(String.raw`b'READY=1\nSTATUS=gr\xc3\xbcn'`);
      receiver.send("");
      expect(await receiver.line()).toBe(`b'${"x".repeat(4096)}'`);
    });

    test("does not wait for ever for a receiver that takes nothing", async () => {
      using folder = new TestFolder();
      const path = join(folder.path, "notify");
      await using receiver = new Child("python3", ["-c", RECEIVER, path]);
      expect(await receiver.line()).toBe("bound");
      const fill = (): void => {
        for (let sent = 0; sent < 100_000; sent++) addon.sdNotify(path, "WATCHDOG=1");
      };
      expect(codeOf(fill)).toBe("EAGAIN");
      await receiver.kill();
      expect(codeOf(() => addon.sdNotify(path, "READY=1"))).toBe("ECONNREFUSED");
    });
  },
);

test("sdNotify refuses what cannot be sent", () => {
  using folder = new TestFolder();
  const missing = join(folder.path, "missing");
  expect(codeOf(() => addon.sdNotify(missing, "READY=1"))).toBe("ENOENT");
  expect(codeOf(() => addon.sdNotify("@holdfast-test-nobody", "READY=1"))).toBe("ECONNREFUSED");
  for (const path of ["", "/", "@", "relative", "vsock:2:1"]) {
    expect(codeOf(() => addon.sdNotify(path, "READY=1"))).toBe("EINVAL");
  }
  expect(codeOf(() => addon.sdNotify(`/${"x".repeat(107)}`, "READY=1"))).toBe("ENAMETOOLONG");
  expect(codeOf(() => addon.sdNotify(`/${"x".repeat(106)}`, "READY=1"))).toBe("ENOENT");
  expect(codeOf(() => addon.sdNotify(`@${"x".repeat(108)}`, "READY=1"))).toBe("ENAMETOOLONG");
  expect(codeOf(() => addon.sdNotify(`@${"x".repeat(107)}`, "READY=1"))).toBe("ECONNREFUSED");
  expect(codeOf(() => addon.sdNotify(missing, ""))).toBe("EINVAL");
  expect(codeOf(() => addon.sdNotify(missing, "x".repeat(4097)))).toBe("ENAMETOOLONG");
  expect(() => addon.sdNotify(missing, 1 as unknown as string)).toThrow(TypeError);
});

test("setDumpable(false) gives the process's files in /proc to root", async () => {
  const script = `const addon = require(process.argv[1]);
    const say = () => console.log(require("fs").statSync("/proc/self/environ").uid);
    addon.setDumpable(true); say(); addon.setDumpable(false); say();`;
  const user = isRoot ? { uid: 65534, gid: 65534 } : {};
  await using child = Child.node(script, [], user);
  expect(await child.line()).toBe(String(isRoot ? 65534 : process.getuid?.()));
  expect(await child.line()).toBe("0");
});

test("disableCoreDumps sets both limits to zero", async () => {
  const script = `require(process.argv[1]).disableCoreDumps();
    console.log(/Max core file size.*/.exec(require("fs").readFileSync("/proc/self/limits", "utf8"))[0]);`;
  await using child = Child.node(script);
  expect(await child.line()).toMatch(/^Max core file size +0 +0 /);
});

test.skipIf(!works("prlimit", "--version"))(
  "raiseFileLimit raises the soft limit to the hard one (by prlimit, of util-linux)",
  async () => {
    // Node raises it too, when it starts: so lower it after that.
    const script = `console.log("started");
    process.stdin.once("data", () => { console.log(JSON.stringify(require(process.argv[1]).raiseFileLimit())); process.exit(); });`;
    await using child = Child.node(script);
    expect(await child.line()).toBe("started");
    expect(works("prlimit", "--pid", String(child.pid), "--nofile=300:700")).toBe(true);
    expect(readFileSync(`/proc/${child.pid}/limits`, "utf8")).toMatch(/Max open files +300 +700 /);
    child.process.stdin?.write("go");
    expect(JSON.parse(await child.line())).toEqual({ soft: 700, hard: 700 });
  },
);

test("setUmask sets it and returns the one before", async () => {
  using folder = new TestFolder();
  const file = join(folder.path, "file");
  const script = `const addon = require(process.argv[1]);
    addon.setUmask(0o022);
    console.log(addon.setUmask(0o077));
    require("fs").writeFileSync(process.argv[2], "", { mode: 0o666 });`;
  await using child = Child.node(script, [file]);
  expect(await child.line()).toBe(String(0o022));
  expect(await child.exit()).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("wrong arguments are type errors", () => {
  expect(() => addon.setDumpable(0 as unknown as boolean)).toThrow(TypeError);
  expect(() => addon.setDumpable(undefined as unknown as boolean)).toThrow(TypeError);
  for (const wrong of [-1, 0o1000, 1.5, "7"]) expect(() => addon.setUmask(wrong as number)).toThrow(TypeError);
});

test.skipIf(!isRoot)(
  "(as root) without the right to look, the executable is refused with EACCES and the rest works",
  async () => {
    using folder = new TestFolder();
    const script = `const addon = require(process.argv[1]);
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const server = require("net").createServer(async (socket) => {
      const { uid, handle } = addon.peerCredentials(socket._handle.fd);
      const code = (work) => { try { work(); return "no error"; } catch (error) { return error.code; } };
      const result = { uid, alive: handle.isAlive(), executable: code(() => handle.executable()),
        seen: handle.rememberExecutable(), unchanged: handle.isUnchanged(),
        open: await handle.openExecutable().catch((error) => error.code),
        status: code(() => handle.readProc("status")), cgroup: code(() => handle.readProc("cgroup")) };
      console.log(JSON.stringify(result));
      process.exit();
    });
    server.listen("\\0holdfast-test-" + process.pid, () => console.log(process.pid));`;
    await using agent = new Child(process.execPath, ["-e", script, "--", ADDON_FILE], { cwd: folder.path });
    const name = `\\0holdfast-test-${await agent.line()}`;
    await using _ = Child.node(`require("net").connect("${name}"); process.stdin.resume()`);
    expect(JSON.parse(await agent.line())).toEqual({
      uid: 0,
      alive: true,
      seen: false,
      unchanged: true,
      executable: "EACCES",
      open: "EACCES",
      status: "no error",
      cgroup: "no error",
    });
  },
);

describe("listeningPath", () => {
  /** A listening descriptor of this process. */
  async function listening(where: string | { host: string; port: number }): Promise<{ server: Server; fd: number }> {
    const server = createServer();
    await new Promise<void>((done) =>
      typeof where === "string" ? server.listen(where, done) : server.listen(where, done),
    );
    return { server, fd: (server as unknown as { _handle: { fd: number } })._handle.fd };
  }

  test("tells where a Unix socket listens, and changes nothing else", async () => {
    using folder = new TestFolder();
    for (const path of [join(folder.path, "s"), `${folder.path}/${"x".repeat(106 - folder.path.length)}`]) {
      const { server, fd } = await listening(path);
      const before = openFiles();
      expect(addon.listeningPath(fd)).toBe(path);
      expect(openFiles()).toBe(before);
      server.close();
    }
    const { server, fd } = await listening(`\0holdfast-test-${process.pid}`);
    expect(addon.listeningPath(fd)).toMatch(new RegExp(`^@holdfast-test-${process.pid}`));
    server.close();
  });

  test("refuses everything else", async () => {
    using folder = new TestFolder();
    const tcp = await listening({ host: "127.0.0.1", port: 0 });
    expect(codeOf(() => addon.listeningPath(tcp.fd))).toBe("EINVAL");
    tcp.server.close();
    const unix = await listening(join(folder.path, "s"));
    const client = connect(join(folder.path, "s"));
    await once(client, "connect");
    expect(codeOf(() => addon.listeningPath((client as unknown as { _handle: { fd: number } })._handle.fd))).toBe(
      "EINVAL",
    );
    client.destroy();
    unix.server.close();
    const file = openSync(join(folder.path, "file"), "w");
    expect(codeOf(() => addon.listeningPath(file))).toBe("EINVAL");
    closeSync(file);
    expect(codeOf(() => addon.listeningPath(1_000_000))).toBe("EBADF");
    expect(codeOf(() => addon.listeningPath(-1))).toBe("ERR_INVALID_ARG_TYPE");
  });
});
