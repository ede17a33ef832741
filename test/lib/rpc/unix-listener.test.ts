import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { errorCode } from "../../../src/lib/errors.ts";
import { UnixListener, type UnixListenerOptions } from "../../../src/lib/rpc/unix-listener.ts";

const root = process.geteuid?.() === 0;
let folder: string;
let opened: UnixListener[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "listener-"));
  opened = [];
});
afterEach(async () => {
  for (const listener of opened) await listener.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(options: Partial<UnixListenerOptions> = {}): Promise<UnixListener> {
  const listener = new UnixListener(
    { path: join(folder, "api.sock"), audience: "workload", ...options },
    (socket: net.Socket) => socket.on("error", () => {}).end("hello"),
  );
  await listener.open();
  opened.push(listener);
  return listener;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return `${errorCode(error)}: ${(error as Error).message}`;
  }
  return "no error";
}

const greet = (path = join(folder, "api.sock")): Promise<string> =>
  new Promise((resolve, reject) => {
    net
      .connect(path)
      .on("data", (data) => resolve(data.toString()))
      .on("error", reject);
  });

describe("the socket", () => {
  test.each([
    ["workload", 0o777, 0o077],
    ["workload", 0o777, 0],
    ["admin", 0o770, 0],
    ["admin", 0o770, 0o077],
  ] as const)("%s has mode %o under umask %o, and nothing else is left", async (audience, mode, umask) => {
    const before = process.umask(umask);
    try {
      await open({ audience });
    } finally {
      process.umask(before);
    }
    expect(lstatSync(join(folder, "api.sock")).mode & 0o7777).toBe(mode);
    expect(readdirSync(folder)).toEqual(["api.sock"]);
    expect(await greet()).toBe("hello");
  });

  test("goes away on close; a later one of another process stays", async () => {
    const listener = await open();
    await listener.close();
    expect(readdirSync(folder)).toEqual([]);
    const first = await open();
    rmSync(join(folder, "api.sock"));
    await open();
    await first.close();
    expect(await greet()).toBe("hello");
  });

  test("a stale one is replaced", async () => {
    const path = join(folder, "api.sock");
    const child = spawn(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`,
    ]);
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    expect(lstatSync(path).isSocket()).toBe(true);
    await open();
    expect(await greet()).toBe("hello");
  });

  test("a live one is never stolen", async () => {
    await open();
    expect(await codeOf(open())).toMatch(/^IN_USE: another process is serving .*api\.sock$/);
    expect(await greet()).toBe("hello");
    expect(readdirSync(folder)).toEqual(["api.sock"]);
  });

  test("of several that start at once at least one serves and nothing else is left", async () => {
    const results = await Promise.all([codeOf(open()), codeOf(open()), codeOf(open())]);
    expect(results).toContain("no error");
    expect(await greet()).toBe("hello");
    expect(readdirSync(folder)).toEqual(["api.sock"]);
  });

  test.each([
    ["a file", (path: string) => writeFileSync(path, "x")],
    ["a folder", (path: string) => mkdirSync(path)],
    ["a link", (path: string) => symlinkSync("/nowhere", path)],
  ])("%s in its place is an error and stays", async (_name, make) => {
    make(join(folder, "api.sock"));
    expect(await codeOf(open())).toMatch(/^INVALID_ARGUMENT: .*api\.sock exists and is not a socket$/);
    expect(readdirSync(folder)).toEqual(["api.sock"]);
  });

  test("a path that is too long is an error", async () => {
    const path = join(folder, "x".repeat(108 - folder.length - 1));
    expect(await codeOf(open({ path }))).toMatch(/^INVALID_ARGUMENT: .* is 1 bytes too long for a Unix socket$/);
    await open({ path: path.slice(0, -1) });
    expect(await greet(path.slice(0, -1))).toBe("hello");
  });
});

describe("its folder", () => {
  test("is made with mode 0755 whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      await open({ path: join(folder, "a/b/api.sock") });
    } finally {
      process.umask(before);
    }
    expect(statSync(join(folder, "a")).mode & 0o7777).toBe(0o755);
    expect(statSync(join(folder, "a/b")).mode & 0o7777).toBe(0o755);
  });

  test.each([0o777, 0o775, 0o757, 0o1777])("of mode %o is refused", async (mode) => {
    chmodSync(folder, mode);
    expect(await codeOf(open())).toMatch(/^FAILED_PRECONDITION: .*is writable by others.*\/run\/holdfast$/);
    expect(readdirSync(folder)).toEqual([]);
    await open({ trustFolder: true });
  });

  test("below one that others may write to is refused, unless that one is sticky", async () => {
    const path = join(folder, "a/api.sock");
    mkdirSync(join(folder, "a"), { mode: 0o755 });
    chmodSync(folder, 0o777);
    expect(await codeOf(open({ path }))).toMatch(/^FAILED_PRECONDITION: .*listener-\w+ on the way.*writable by others/);
    chmodSync(folder, 0o1777);
    await open({ path });
  });

  test.skipIf(!root)("(as root) of another user is refused, also above and behind a link", async () => {
    const path = join(folder, "a/b/api.sock");
    mkdirSync(join(folder, "a/b"), { recursive: true });
    chownSync(join(folder, "a/b"), 12_345, 12_345);
    expect(await codeOf(open({ path }))).toMatch(/^FAILED_PRECONDITION: .*a\/b on the way.*is owned by uid 12345/);
    chownSync(join(folder, "a/b"), 0, 0);
    chownSync(join(folder, "a"), 12_345, 12_345);
    expect(await codeOf(open({ path }))).toMatch(/is owned by uid 12345/);
    chownSync(join(folder, "a"), 0, 0);
    symlinkSync(join(folder, "a"), join(folder, "link"));
    await (await open({ path: join(folder, "link/b/api.sock") })).close();
    execFileSync("chown", ["-h", "12345", join(folder, "link")]);
    expect(await codeOf(open({ path: join(folder, "link/b/api.sock") }))).toMatch(/link on the way.*uid 12345/);
  });

  test("is not made below one that others may write to: they could put a link to elsewhere in its place", async () => {
    chmodSync(folder, 0o777);
    expect(await codeOf(open({ path: join(folder, "a/b/api.sock") }))).toMatch(/writable by others/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("behind a link that leads through a folder of others is refused, however deep", async () => {
    for (const name of ["lax", "real"]) mkdirSync(join(folder, name), { mode: 0o755 });
    symlinkSync(join(folder, "real"), join(folder, "lax/second"));
    symlinkSync("lax/second", join(folder, "first"));
    const path = join(folder, "first/api.sock");
    await (await open({ path })).close();
    chmodSync(join(folder, "lax"), 0o777);
    expect(await codeOf(open({ path }))).toMatch(/^FAILED_PRECONDITION: .*lax on the way.*writable by others/);
    chmodSync(join(folder, "lax"), 0o1777);
    await (await open({ path })).close();
  });

  test("behind links that lead in a circle is refused", async () => {
    symlinkSync("b", join(folder, "a"));
    symlinkSync("a", join(folder, "b"));
    expect(await codeOf(open({ path: join(folder, "a/api.sock") }))).toMatch(/^FAILED_PRECONDITION: .*ELOOP/);
  });

  test("that is a file, or cannot be made, is an error", async () => {
    writeFileSync(join(folder, "file"), "");
    expect(await codeOf(open({ path: join(folder, "file/api.sock") }))).toMatch(/^FAILED_PRECONDITION: .*not a folder/);
    expect(await codeOf(open({ path: join(folder, "file/x/api.sock") }))).toMatch(
      /^FAILED_PRECONDITION: cannot create the socket folder .*ENOTDIR$/,
    );
    expect(existsSync(join(folder, "file/x"))).toBe(false);
  });
});
