/** A handle over the life of its process: liveness, exit, what it executes, and that descriptors are given back. */
import { closeSync, fstatSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { PeerCredentials, ProcFile } from "../../src/lib/native.ts";
import { ADDON_FILE, Child, CONNECT, codeOf, exitOf, Listener, loadAddon, openFiles, WAYS } from "./support.ts";

const addon = loadAddon();

describe.each(WAYS)("$kind", ({ kind, options }) => {
  test("is dead as soon as the process has exited, and stays so", async () => {
    await using listener = await Listener.open();
    const { child, fd } = await listener.connectChild();
    using handle = addon.peerCredentials(fd, options).handle;
    handle.executable();
    await child.kill();
    expect(handle.isAlive()).toBe(false);
    expect(codeOf(() => handle.readProc("status"))).toBe("ESRCH");
    expect(codeOf(() => handle.executable())).toBe("ESRCH");
    handle.releaseProc();
    expect(codeOf(() => handle.executable())).toBe("ESRCH");
    await expect(handle.openExecutable()).rejects.toMatchObject({ code: "ESRCH" });
    expect(handle.isAlive()).toBe(false);
  });

  test.skipIf(process.geteuid?.() !== 0)("(as root) knows the effective user and group of the moment", async () => {
    await using listener = await Listener.open();
    const script = `${CONNECT}
      process.stdin.removeAllListeners().once("data", () => {
        process.setegid(12346), process.seteuid(12345), console.log("done");
      });`;
    const { child, fd } = await listener.connectChild({}, script);
    await using _ = child;
    using handle = addon.peerCredentials(fd, options).handle;
    expect(handle.owner()).toEqual({ uid: 0, gid: 0 });
    child.send("go");
    expect(await child.line()).toBe("done");
    expect(handle.owner()).toEqual({ uid: 12_345, gid: 12_346 });
    await child.kill();
    expect(codeOf(() => handle.owner())).toBe("ESRCH");
    handle.close();
    expect(codeOf(() => handle.owner())).toBe("EBADF");
  });

  test("takes a zombie for dead", async () => {
    await using listener = await Listener.open();
    const accepted = listener.accept();
    // The shell becomes a process that never waits for its child.
    const script = `'${process.execPath}' -e 'require("net").connect("${listener.path}"); process.stdin.once("data", () => process.exit())' <&3 & exec sleep 1000`;
    await using parent = new Child("sh", ["-c", script], { stdio: ["ignore", "pipe", "inherit", "pipe"] });
    const fd = await accepted;
    const peer = addon.peerCredentials(fd, options);
    using handle = peer.handle;
    expect(peer.pid).not.toBe(parent.pid);
    const exited = exitOf(peer);
    (parent.process.stdio[3] as NodeJS.WritableStream).write("go\n");
    await exited;
    expect(readFileSync(`/proc/${peer.pid}/stat`, "latin1")).toMatch(/\) Z /);
    expect(handle.isAlive()).toBe(false);
    expect(codeOf(() => handle.executable())).toBe("ESRCH");
    await expect(handle.openExecutable()).rejects.toMatchObject({ code: "ESRCH" });
    expect(codeOf(() => addon.peerCredentials(fd, options))).toBe("ESRCH");
  });

  test("calls back once when the process exits", async () => {
    await using listener = await Listener.open();
    const { child, fd } = await listener.connectChild();
    using handle = addon.peerCredentials(fd, options).handle;
    const calls: boolean[] = [];
    handle.onExit(() => calls.push(handle.isAlive()));
    expect(codeOf(() => handle.onExit(() => {}))).toBe("EALREADY");
    await child.kill();
    await expect.poll(() => calls, { timeout: 15_000 }).toEqual([false]);
    // Those that come after would be told at the same time or later.
    const self = addon.peerCredentials(await listener.connectSelf(), options);
    self.handle.close();
    expect(calls).toEqual([false]);
    expect(codeOf(() => handle.onExit(() => {}))).toBe("EALREADY");
  });

  test("calls back when the process had exited before it was asked", async () => {
    await using listener = await Listener.open();
    const { child, fd } = await listener.connectChild();
    const peer = addon.peerCredentials(fd, options);
    await child.kill();
    await exitOf(peer);
    peer.handle.close();
  });

  test("does not call back after close, and may be closed in the callback", async () => {
    await using listener = await Listener.open();
    const { child, fd } = await listener.connectChild({}, connectTimes(8));
    await using _ = child;
    const fds = [fd];
    while (fds.length < 8) fds.push(await listener.accept());
    const peers = fds.map((fd) => addon.peerCredentials(fd, options));
    const called: number[] = [];
    for (const [index, peer] of peers.entries()) {
      peer.handle.onExit(() => {
        called.push(index);
        // All of them: those whose exit is already queued must not be told any more.
        for (const other of peers) other.handle.close();
      });
    }
    peers[3]!.handle.close();
    await child.kill();
    await expect.poll(() => called.length, { timeout: 15_000 }).toBe(1);
    expect(called).not.toContain(3);
    // An exit that happens later is told; by then those before would have been.
    const later = await listener.connectChild();
    const peer = addon.peerCredentials(later.fd, options);
    const exited = exitOf(peer);
    await later.child.kill();
    await exited;
    peer.handle.close();
    expect(called).toHaveLength(1);
  });

  test("a closed handle is dead and refuses", async () => {
    await using listener = await Listener.open();
    const { handle } = addon.peerCredentials(await listener.connectSelf(), options);
    handle.close();
    handle.close();
    handle.releaseProc();
    expect(handle.isAlive()).toBe(false);
    expect(handle.kind).toBe(kind);
    for (const use of [() => handle.onExit(() => {}), () => handle.executable(), () => handle.readProc("stat")]) {
      expect(codeOf(use)).toBe("EBADF");
    }
    await expect(handle.openExecutable()).rejects.toMatchObject({ code: "EBADF" });
  });

  test("tells the executed file, by the numbers that stat gives", async () => {
    await using listener = await Listener.open();
    using handle = addon.peerCredentials(await listener.connectSelf(), options).handle;
    const stat = statSync(process.execPath, { bigint: true });
    const { dev: device, ino: inode, size, mtimeNs, ctimeNs } = stat;
    const path = readlinkSync("/proc/self/exe");
    expect(handle.executable()).toEqual({ device, inode, size, mtimeNs, ctimeNs, path });
    const fd = await handle.openExecutable();
    try {
      expect(fstatSync(fd, { bigint: true })).toMatchObject({ dev: device, ino: inode });
    } finally {
      closeSync(fd);
    }
  });

  test("a program executed in place changes the file, not the process", async () => {
    await using listener = await Listener.open();
    const script = `require("net").connect(process.argv[2]);
      process.stdin.once("data", () => process.execve("/bin/sleep", ["sleep", "1000"], {}));`;
    const { child, fd } = await listener.connectChild({}, script);
    await using _ = child;
    using handle = addon.peerCredentials(fd, options).handle;
    const before = handle.executable();
    child.send("exec");
    await expect.poll(() => handle.executable().inode, { timeout: 15_000 }).not.toBe(before.inode);
    const stat = statSync("/bin/sleep", { bigint: true });
    expect(handle.executable()).toMatchObject({ device: stat.dev, inode: stat.ino });
    expect(handle.isAlive()).toBe(true);
  });

  test("is unchanged until it executes another file", async () => {
    await using listener = await Listener.open();
    const script = `require("net").connect(process.argv[2]);
      process.stdin.once("data", () => process.execve("/bin/sleep", ["sleep", "1000"], {}));`;
    const { child, fd } = await listener.connectChild({}, script);
    await using _ = child;
    using handle = addon.peerCredentials(fd, options).handle;
    expect(handle.isUnchanged()).toBe(false); // nothing is remembered yet
    expect(handle.rememberExecutable()).toBe(true);
    const files = openFiles();
    expect(handle.isUnchanged()).toBe(true);
    expect(openFiles()).toBe(files);
    handle.releaseProc();
    const fewer = openFiles();
    expect(handle.isUnchanged()).toBe(true);
    expect(openFiles()).toBe(fewer);
    child.send("exec");
    await expect.poll(() => handle.isUnchanged(), { timeout: 15_000 }).toBe(false);
    expect(handle.isAlive()).toBe(true);
    expect(handle.rememberExecutable()).toBe(true);
    expect(handle.isUnchanged()).toBe(true);
    await child.kill();
    expect(handle.isUnchanged()).toBe(false);
    expect(codeOf(() => handle.rememberExecutable())).toBe("ESRCH");
    handle.close();
    expect(handle.isUnchanged()).toBe(false);
    expect(codeOf(() => handle.rememberExecutable())).toBe("EBADF");
  });

  test.skipIf(process.geteuid?.() !== 0).each(["seteuid", "setegid"])(
    "(as root) is unchanged until %s gives it another user or group",
    async (change) => {
      await using listener = await Listener.open();
      const script = `${CONNECT}
        process.stdin.removeAllListeners().on("data", (word) => {
          process.${change}(String(word).startsWith("go") ? 12345 : 0), console.log("done");
        });`;
      const { child, fd } = await listener.connectChild({}, script);
      await using _ = child;
      using handle = addon.peerCredentials(fd, options).handle;
      handle.rememberExecutable();
      expect(handle.isUnchanged()).toBe(true);
      child.send("go");
      expect(await child.line()).toBe("done");
      expect([handle.isUnchanged(), handle.isAlive()]).toEqual([false, true]);
      child.send("back");
      expect(await child.line()).toBe("done");
      expect(handle.isUnchanged()).toBe(true);
    },
  );

  test("a socket handed to a child keeps the name of the process that connected", async () => {
    await using listener = await Listener.open();
    const script = `const socket = require("net").connect(process.argv[2], () => {
        const stdio = ["ignore", "ignore", "ignore", socket._handle.fd];
        const heir = require("child_process").spawn("sleep", ["1000"], { stdio, detached: true });
        console.log(heir.pid);
      });
      process.stdin.once("data", () => process.exit());`;
    const { child, fd } = await listener.connectChild({}, script);
    await using _ = child;
    const heir = Number(await child.line());
    try {
      const peer = addon.peerCredentials(fd, options);
      using handle = peer.handle;
      expect(peer.pid).toBe(child.pid);
      child.send("exit");
      await child.exit();
      expect(readlinkSync(`/proc/${heir}/fd/3`)).toMatch(/^socket:/);
      expect(handle.isAlive()).toBe(false);
      expect(codeOf(() => addon.peerCredentials(fd, options))).toBe("ESRCH");
    } finally {
      process.kill(heir, "SIGKILL");
    }
  });

  test("reads the process's own files, and no others", async () => {
    await using listener = await Listener.open();
    const peer = addon.peerCredentials(await listener.connectSelf(), options);
    using handle = peer.handle;
    expect(handle.readProc("status").toString()).toContain(`\nPid:\t${process.pid}\n`);
    expect(handle.readProc("stat").toString()).toMatch(new RegExp(`^${process.pid} \\(`));
    expect(handle.readProc("cgroup")).toEqual(readFileSync("/proc/self/cgroup"));
    expect(handle.readProc("mountinfo")).toEqual(readFileSync("/proc/self/mountinfo"));
    for (const name of ["environ", "../1/status", "", "exe", "a very long name of a file"]) {
      expect(codeOf(() => handle.readProc(name as ProcFile))).toMatch(/^(EINVAL|ENAMETOOLONG)$/);
    }
  });

  test("holds one descriptor when idle, and gives all back", async () => {
    await using listener = await Listener.open();
    const fd = await listener.connectSelf();
    addon.peerCredentials(fd, options).handle.close(); // opens what stays open for good
    const before = openFiles();
    const { handle } = addon.peerCredentials(fd, options);
    expect(openFiles()).toBe(before + 1);
    handle.executable();
    handle.readProc("status");
    expect(openFiles()).toBe(before + (kind === "start-time" ? 1 : 2));
    handle.releaseProc();
    expect(openFiles()).toBe(before + 1);
    expect(handle.executable().path).toBe(process.execPath);
    handle.close();
    expect(openFiles()).toBe(before);
  });

  test("20,000 handles leave no descriptor open", async () => {
    await using listener = await Listener.open();
    const fd = await listener.connectSelf();
    const one = (): PeerCredentials => addon.peerCredentials(fd, options);
    using first = one().handle; // starts the watcher
    first.onExit(() => {});
    const before = openFiles();
    for (let round = 0; round < 20_000; round++) {
      using handle = one().handle;
      if (round % 2 === 0) handle.onExit(() => {});
      if (round % 4 === 0) handle.executable();
    }
    expect(openFiles()).toBe(before);
  });
});

test("an open of the executable outlives its handle", async () => {
  await using listener = await Listener.open();
  const { handle } = addon.peerCredentials(await listener.connectSelf());
  const opening = handle.openExecutable();
  handle.close();
  closeSync(await opening);
});

test.each(WAYS)("a callback that waits ($kind) does not keep the program running", async ({ options }) => {
  await using listener = await Listener.open();
  const script = `const addon = require(process.argv[1]);
    const server = require("net").createServer((socket) => {
      addon.peerCredentials(socket._handle.fd, ${JSON.stringify(options)}).handle.onExit(() => console.log("exit?"));
      server.close();
      socket.unref();
      console.log("watching");
    }).listen(process.argv[2] + "2", () => require("net").connect(process.argv[2] + "2").unref());`;
  await using child = Child.node(script, [listener.path]);
  expect(await child.line()).toBe("watching");
  expect(await child.exit()).toBe(0);
});

test("an error thrown by a callback is uncaught, and the other callbacks still come", async () => {
  await using listener = await Listener.open();
  const script = `const addon = require(process.argv[1]);
    process.on("uncaughtException", (error) => console.log("uncaught " + error.message));
    let left = 3;
    const server = require("net").createServer((socket) => {
      socket.on("error", () => {});
      addon.peerCredentials(socket._handle.fd).handle.onExit(() => {
        console.log("called");
        if (--left === 0) process.exit();
        throw new Error("from the callback");
      });
      socket.write("x");
    }).listen(process.argv[2] + "2", () => console.log("listening"));`;
  await using child = Child.node(script, [listener.path]);
  expect(await child.line()).toBe("listening");
  await using peer = Child.node(
    `let open = 0;
     for (let i = 0; i < 3; i++) require("net").connect(process.argv[2] + "2").once("data", () => {
       if (++open === 3) process.exit();
     });`,
    [listener.path],
  );
  await peer.exit();
  const lines = [await child.line(), await child.line(), await child.line(), await child.line(), await child.line()];
  expect(lines.filter((line) => line === "called")).toHaveLength(3);
  expect(lines.filter((line) => line === "uncaught from the callback")).toHaveLength(2);
  expect(await child.exit()).toBe(0);
});

test("handles that are forgotten are closed by the garbage collector, unless they wait for an exit", async () => {
  await using listener = await Listener.open();
  const script = `const addon = require(process.argv[1]);
    const count = () => require("fs").readdirSync("/proc/self/fd").length;
    const server = require("net").createServer(async (socket) => {
      const fd = socket._handle.fd;
      addon.peerCredentials(fd).handle.onExit(() => {});
      const before = count();
      for (let i = 0; i < 100; i++) addon.peerCredentials(fd).handle.executable();
      for (let i = 0; i < 10; i++) addon.peerCredentials(fd).handle.onExit(() => {});
      while (count() > before + 10) { gc(); await new Promise(setImmediate); }
      for (let i = 0; i < 10; i++) { gc(); await new Promise(setImmediate); }
      console.log(count() - before);
      process.exit();
    }).listen(process.argv[2] + "2", () => require("net").connect(process.argv[2] + "2"));`;
  await using child = new Child(process.execPath, ["--expose-gc", "-e", script, "--", ADDON_FILE, listener.path]);
  expect(await child.line()).toBe("10");
});

/** A script that connects several times, and exits when told. */
function connectTimes(times: number): string {
  return `for (let i = 0; i < ${times}; i++) require("net").connect(process.argv[2]);
    process.stdin.once("data", () => process.exit()).once("end", () => process.exit());`;
}
