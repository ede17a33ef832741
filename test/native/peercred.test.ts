/** Who connected: credentials, groups, the ways to follow a process, and what is refused. */

import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ADDON_FILE, Child, CONNECT, codeOf, fdOf, Listener, loadAddon, openFiles, WAYS, works } from "./support.ts";

const addon = loadAddon();
const isRoot = process.getuid?.() === 0;
const NOBODY = { uid: 65534, gid: 65533 };

/** Linux has SO_PEERPIDFD from 6.5 on. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const hasPeerPidfd = major > 6 || (major === 6 && minor >= 5);
const ways = WAYS.filter(({ kind }) => kind !== "peer-pidfd" || hasPeerPidfd);

describe.each(ways)("$kind", ({ kind, options }) => {
  test("names a child process", async () => {
    await using listener = await Listener.open();
    const { child, fd } = await listener.connectChild();
    await using _ = child;
    const peer = addon.peerCredentials(fd, options);
    using handle = peer.handle;
    expect(peer).toMatchObject({ pid: child.pid, uid: process.getuid?.(), gid: process.getgid?.() });
    // Node adds the effective gid, which the kernel does not.
    const expected = new Set([...(process.getgroups?.() ?? []), ...peer.groups]);
    if (!peer.groups.includes(process.getegid?.() ?? -1)) expected.delete(process.getegid?.() ?? -1);
    expect(new Set(peer.groups)).toEqual(expected);
    expect(handle.kind).toBe(kind);
    expect(handle.isAlive()).toBe(true);
  });

  test("names this process when it connects to itself", async () => {
    await using listener = await Listener.open();
    const peer = addon.peerCredentials(await listener.connectSelf(), options);
    using handle = peer.handle;
    expect(peer.pid).toBe(process.pid);
    expect(handle.isAlive()).toBe(true);
  });

  test("is refused once the peer has exited", async () => {
    await using listener = await Listener.open();
    const { child, fd } = await listener.connectChild();
    await child.kill();
    const before = openFiles();
    expect(codeOf(() => addon.peerCredentials(fd, options))).toBe("ESRCH");
    expect(openFiles()).toBe(before);
  });

  test.skipIf(!isRoot || !works("setpriv", "true"))(
    "(as root, with setpriv) names the uid, gid and groups of another user",
    async () => {
      await using listener = await Listener.open();
      const accepted = listener.accept();
      const user = [`--reuid=${NOBODY.uid}`, `--regid=${NOBODY.gid}`, "--groups=5,70000,4"];
      await using child = new Child("setpriv", [
        ...user,
        process.execPath,
        "-e",
        CONNECT,
        "--",
        ADDON_FILE,
        listener.path,
      ]);
      const peer = addon.peerCredentials(await accepted, options);
      using _ = peer.handle;
      expect(peer).toMatchObject({ pid: child.pid, ...NOBODY });
      expect([...peer.groups].sort((a, b) => a - b)).toEqual([4, 5, 70000]);
    },
  );

  test.skipIf(!isRoot)("(as root) takes more groups than fit at first, and refuses far too many", async () => {
    await using listener = await Listener.open();
    for (const { count, result } of [
      { count: 1000, result: "(no error)" },
      { count: 5000, result: "E2BIG" },
    ]) {
      const accepted = listener.accept();
      const groups = Array.from({ length: count }, (_, index) => 1000 + index);
      const setGroups = `process.setgroups(${JSON.stringify(groups)});${CONNECT}`;
      await using _ = Child.node(setGroups, [listener.path]);
      const fd = await accepted;
      const before = openFiles();
      expect(codeOf(() => addon.peerCredentials(fd, options).handle.close())).toBe(result);
      if (count === 1000) expect(addon.peerCredentials(fd, options).groups).toEqual(groups);
      else expect(openFiles()).toBe(before);
    }
  });
});

test("takes the strongest way that the kernel has", async () => {
  await using listener = await Listener.open();
  using handle = addon.peerCredentials(await listener.connectSelf()).handle;
  expect(handle.kind).toBe(hasPeerPidfd ? "peer-pidfd" : "pidfd-open");
});

test("refuses what is no connected Unix socket", async () => {
  await using listener = await Listener.open();
  const file = openSync("/dev/null", "r");
  const tcp = createServer().listen(0, "127.0.0.1");
  await once(tcp, "listening");
  const { port } = tcp.address() as { port: number };
  const client = connect(port, "127.0.0.1");
  await once(client, "connect");
  try {
    expect(codeOf(() => addon.peerCredentials(file))).toBe("ENOTSOCK");
    expect(codeOf(() => addon.peerCredentials(1_000_000))).toBe("EBADF");
    expect(codeOf(() => addon.peerCredentials(listener.fd))).toBe("EINVAL");
    expect(codeOf(() => addon.peerCredentials(fdOf(client)))).toBe("EINVAL");
  } finally {
    closeSync(file);
    client.destroy();
    tcp.close();
  }
});

test("refuses wrong arguments", async () => {
  await using listener = await Listener.open();
  const fd = await listener.connectSelf();
  const call = (...args: unknown[]): unknown => (addon.peerCredentials as (...args: unknown[]) => unknown)(...args);
  for (const wrong of [-1, 1.5, 2 ** 31, Number.NaN, "3", undefined, null, {}])
    expect(() => call(wrong)).toThrow(TypeError);
  for (const wrong of [null, 1, "start-time"]) expect(() => call(fd, wrong)).toThrow(TypeError);
  expect(() => call(fd, { procRoot: 1 })).toThrow(TypeError);
  expect(codeOf(() => call(fd, { force: "best" }))).toBe("EINVAL");
  expect(codeOf(() => call(fd, { procRoot: "/proc\0/x" }))).toBe("EINVAL");
});

test("takes a procfs only as procRoot", async () => {
  await using listener = await Listener.open();
  const fd = await listener.connectSelf();
  const folder = mkdtempSync(join(tmpdir(), "holdfast-native-"));
  try {
    expect(codeOf(() => addon.peerCredentials(fd, { procRoot: folder }))).toBe("ERR_PROC_ROOT");
    expect(codeOf(() => addon.peerCredentials(fd, { procRoot: join(folder, "missing") }))).toBe("ENOENT");
    using handle = addon.peerCredentials(fd, { procRoot: "/proc/" }).handle;
    expect(handle.executable().path).toBe(process.execPath);
  } finally {
    rmdirSync(folder);
  }
});

test("handles come from peerCredentials only", async () => {
  await using listener = await Listener.open();
  using handle = addon.peerCredentials(await listener.connectSelf()).handle;
  const Handle = handle.constructor as new () => unknown;
  expect(() => new Handle()).toThrow(TypeError);
  expect(() => Reflect.construct(Handle, [], Object)).toThrow(TypeError);
  expect(() => handle.isAlive.call({} as typeof handle)).toThrow(TypeError);
  expect(() => handle.isAlive.call(Object.create(handle) as typeof handle)).toThrow(TypeError);
});
