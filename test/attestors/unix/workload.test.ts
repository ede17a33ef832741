import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { UnixWorkloadOptions } from "../../../src/attestors/unix/config.ts";
import { type HashFile, hashOnThread } from "../../../src/attestors/unix/hash-thread.ts";
import { UnixWorkloadAttestor } from "../../../src/attestors/unix/workload.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { errorText } from "../../../src/lib/errors.ts";
import { FakePeer } from "./fake-peer.ts";

let folder: string;
let program: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unix-"));
  program = join(folder, "program");
  writeFileSync(program, "the program");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const later: Clock = { ...systemClock, now: () => Date.now() + 10_000 };
const names = { user: (uid: number) => (uid === 1000 ? "alice" : undefined), group: () => undefined };

function attestor(
  options: Partial<UnixWorkloadOptions> = {},
  hash: HashFile = hashOnThread(systemClock),
  clock = later,
  timesTell = true,
) {
  return new UnixWorkloadAttestor(
    { clock, names, hash, timesTell: async () => timesTell },
    { discoverWorkloadPath: true, workloadSizeLimit: 0, allowOtherMountNamespaces: false, ...options },
  );
}

async function values(unix: UnixWorkloadAttestor, peer: FakePeer): Promise<string[]> {
  const selectors = await unix.attest(peer, new AbortController().signal);
  expect(selectors.every(({ type }) => type === "unix")).toBe(true);
  return selectors.map(({ value }) => value);
}

const failure = (work: Promise<unknown>): Promise<string> => work.then(() => "no error", errorText);
const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Hashes by itself and counts. */
function counting(): { readonly hash: HashFile; readonly count: number } {
  let count = 0;
  return {
    async hash(fd) {
      count++;
      return digestOf(readFileSync(fd).toString());
    },
    get count() {
      return count;
    },
  };
}

describe("the owner", () => {
  test("user and groups only, from one read, unless the path is wanted", async () => {
    const peer = new FakePeer(program);
    expect(await values(attestor({ discoverWorkloadPath: false }), peer)).toEqual([
      "uid:1000",
      "user:alice",
      "gid:1000",
      "supplementary_gid:1000",
    ]);
    expect(peer.reads).toEqual(["status"]);
  });

  test("another effective user or group than at the connection fails", async () => {
    const peer = new FakePeer(program);
    peer.status = peer.status.replace("Uid:\t1000\t1000", "Uid:\t1000\t0");
    const error = "the caller has changed its user or group since it connected";
    expect(await failure(values(attestor(), peer))).toBe(error);
    const second = new FakePeer(program);
    second.status = second.status.replace("Gid:\t1000\t1000", "Gid:\t1000\t0");
    expect(await failure(values(attestor(), second))).toBe(error);
  });
});

describe("the groups", () => {
  test("only those of the connection: none that the caller took on since, none that it gave up", async () => {
    const peer = new FakePeer(program);
    peer.groups = [27, 1000, 100];
    peer.status = peer.status.replace("Groups:\t1000 ", "Groups:\t27 1000 999 ");
    expect(await values(attestor({ discoverWorkloadPath: false }), peer)).toEqual([
      "uid:1000",
      "user:alice",
      "gid:1000",
      "supplementary_gid:27",
      "supplementary_gid:1000",
    ]);
  });
});

describe("the program", () => {
  const found = async (unix: UnixWorkloadAttestor, peer: FakePeer): Promise<string[]> =>
    (await values(unix, peer)).filter((value) => /^(path|sha256):/.test(value));

  test("path and digest", async () => {
    expect(await found(attestor(), new FakePeer(program))).toEqual([
      `path:${program}`,
      `sha256:${digestOf("the program")}`,
    ]);
  });

  test.each([
    ["another file there", () => writeFileSync(join(folder, "elsewhere"), "x")],
    ["no file there", () => {}],
  ])("no path when the agent finds %s; with other mount namespaces allowed there is one", async (_name, make) => {
    make();
    const peer = new FakePeer(program);
    peer.path = join(folder, "elsewhere");
    const sha256 = `sha256:${digestOf("the program")}`;
    expect(await found(attestor(), peer)).toEqual([sha256]);
    expect(await found(attestor({ allowOtherMountNamespaces: true }), peer)).toEqual([`path:${peer.path}`, sha256]);
  });

  test("a path counts for the file, by whatever name; one that is none does not", async () => {
    const peer = new FakePeer(program);
    peer.path = join(folder, "link");
    linkSync(program, peer.path);
    expect(await found(attestor(), peer)).toContain(`path:${peer.path}`);
    for (const path of ["(unreachable)/x", "program", `${program} (deleted)`, "", "/x\ufffd"]) {
      peer.path = path;
      expect(await found(attestor(), peer)).toEqual([`sha256:${digestOf("the program")}`]);
    }
  });

  test.each([
    [11, "path+sha256"],
    [10, "the caller's program is larger than 10 bytes"],
    [0, "path+sha256"],
    [-1, "path"],
  ])("workload_size_limit %d", async (workloadSizeLimit, expected) => {
    const unix = attestor({ workloadSizeLimit });
    const kinds = found(unix, new FakePeer(program)).then((list) => list.map((value) => value.split(":")[0]).join("+"));
    expect(await kinds.catch(errorText)).toBe(expected);
  });

  test("executing another program while it is attested fails", async () => {
    const other = join(folder, "other");
    copyFileSync(program, other);
    const peer = new FakePeer(program);
    const swap: HashFile = async () => {
      peer.file = other;
      return "00";
    };
    expect(await failure(values(attestor({}, swap), peer))).toBe(
      "the caller has executed another program while it was attested",
    );
  });

  test("a program that cannot be looked at or hashed fails the whole attestor", async () => {
    const peer = new FakePeer(join(folder, "missing"));
    expect(await failure(values(attestor(), peer))).toMatch(/ENOENT/);
    const broken: HashFile = () => Promise.reject(new Error("I/O error"));
    expect(await failure(values(attestor({}, broken), new FakePeer(program)))).toBe("I/O error");
  });
});

describe("digests", () => {
  test("a file is hashed once, also for many callers at once; a changed one again", async () => {
    const counted = counting();
    const unix = attestor({}, counted.hash);
    const peers = Array.from({ length: 20 }, (_, index) => new FakePeer(program, 1000 + index));
    await Promise.all(peers.map((peer) => values(unix, peer)));
    await values(unix, new FakePeer(program));
    expect(counted.count).toBe(1);
    appendFileSync(program, "!");
    expect(await values(unix, new FakePeer(program))).toContain(`sha256:${digestOf("the program!")}`);
    expect(counted.count).toBe(2);
  });

  test("a file that has only just changed is not remembered: it could change again and look the same", async () => {
    const counted = counting();
    const unix = attestor({}, counted.hash, systemClock);
    await values(unix, new FakePeer(program));
    await values(unix, new FakePeer(program));
    expect(counted.count).toBe(2);
  });

  test("nor is one that had only just changed when hashing began, however long that took", async () => {
    let now = Date.now();
    const counted = counting();
    const slow: HashFile = (fd, size) => {
      now += 60_000;
      return counted.hash(fd, size);
    };
    const unix = attestor({}, slow, { ...systemClock, now: () => now });
    await values(unix, new FakePeer(program));
    await values(unix, new FakePeer(program));
    expect(counted.count).toBe(2);
    await values(unix, new FakePeer(program));
    expect(counted.count).toBe(2);
  });

  test("a file whose times do not tell of changes is hashed each time", async () => {
    const counted = counting();
    const unix = attestor({}, counted.hash, later, false);
    await values(unix, new FakePeer(program));
    await values(unix, new FakePeer(program));
    expect(counted.count).toBe(2);
  });

  test("a program that is changed through a mapping has its new digest, wherever it lies", async () => {
    const mapper = join(folder, "mapper");
    execFileSync("cc", ["-Wall", "-Werror", "-o", mapper, join(import.meta.dirname, "write-through-map.c")]);
    const places = [folder, ...(existsSync("/dev/shm") ? [mkdtempSync("/dev/shm/unix-")] : [])];
    const unix = new UnixWorkloadAttestor(
      { clock: later, names },
      { discoverWorkloadPath: true, workloadSizeLimit: 0, allowOtherMountNamespaces: false },
    );
    for (const place of places) {
      const file = join(place, "mapped");
      writeFileSync(file, "good");
      expect(await values(unix, new FakePeer(file))).toContain(`sha256:${digestOf("good")}`);
      execFileSync(mapper, [file, "evil"]);
      expect(await values(unix, new FakePeer(file))).toContain(`sha256:${digestOf("evil")}`);
      rmSync(file);
    }
    for (const place of places.slice(1)) rmSync(place, { recursive: true });
  });

  test("a file that changes while it is hashed fails", async () => {
    const grows: HashFile = async () => {
      appendFileSync(program, "more");
      return "00";
    };
    expect(await failure(values(attestor({}, grows), new FakePeer(program)))).toBe(
      "the executable changed while it was hashed",
    );
  });

  test("the failure of one caller does not fail another that waited for its digest", async () => {
    const gate = Promise.withResolvers<void>();
    const counted = counting();
    const first = new FakePeer(program, 1);
    first.openExecutable = async () => {
      await gate.promise;
      throw new Error("gone");
    };
    const unix = attestor({}, counted.hash);
    const results = [failure(values(unix, first)), failure(values(unix, new FakePeer(program, 2)))];
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    expect(await Promise.all(results)).toEqual(["gone", "no error"]);
  });

  test("no more digests are remembered than is bounded", async () => {
    const counted = counting();
    const unix = attestor({}, counted.hash);
    const files = Array.from({ length: 513 }, (_, index) => {
      const file = join(folder, `p${index}`);
      writeFileSync(file, `${index}`);
      return file;
    });
    for (const file of files) await values(unix, new FakePeer(file));
    await values(unix, new FakePeer(files[512] ?? ""));
    expect(counted.count).toBe(513);
    await values(unix, new FakePeer(files[0] ?? ""));
    expect(counted.count).toBe(514);
  });

  test("a thread hashes a file larger than its buffer", async () => {
    const text = "x".repeat(3_000_001);
    writeFileSync(program, text);
    expect(await values(attestor(), new FakePeer(program))).toContain(`sha256:${digestOf(text)}`);
  });

  test("a thread notices a file of another size than it was told", async () => {
    const hash = hashOnThread(systemClock);
    const { openSync, closeSync } = await import("node:fs");
    const fd = openSync(program, "r");
    expect(await failure(hash(fd, 10))).toBe("the executable could not be hashed: the file grows");
    expect(await failure(hash(fd, 12))).toBe("the executable could not be hashed: the file has shrunk");
    expect(await hash(fd, 11)).toBe(digestOf("the program"));
    closeSync(fd);
  });
});
