import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { open, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { timesTellOfChanges } from "../../../src/attestors/unix/file-times.ts";
import { FileWork } from "../../../src/attestors/unix/file-work.ts";
import { FileNames, parseNames } from "../../../src/attestors/unix/names.ts";
import { parseStatus } from "../../../src/attestors/unix/status.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { errorCode, errorText } from "../../../src/lib/errors.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unix-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("status", () => {
  const lines = (name: string): Buffer =>
    Buffer.from(
      `Name:\t${name}\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t27 100 \nNStgid:\t9\n`,
    );

  test("takes the effective numbers and all groups", () => {
    expect(parseStatus(lines("sh"))).toEqual({ uid: 2, gid: 6, supplementaryGids: [27, 100] });
    expect(parseStatus(readFileSync("/proc/self/status"))).toMatchObject({
      uid: process.geteuid?.(),
      gid: process.getegid?.(),
    });
  });

  test("a process's name cannot play a line, since the kernel escapes the break", () => {
    expect(parseStatus(lines("x\\nUid:\t0\t0\t0\t0"))).toMatchObject({ uid: 2 });
  });

  test.each(["\rUid:\t0\t0\t", "\rGid:\t0\t0\t", "\rGroups:\t0 1"])(
    "nor can it with %j, which the kernel leaves as it is",
    (name) => {
      expect(parseStatus(lines(name))).toEqual({ uid: 2, gid: 6, supplementaryGids: [27, 100] });
    },
  );

  test("of a process that gives itself such a name, the kernel's numbers are taken", () => {
    const script = `printf '\\rUid:\\t7\\t7\\t' > /proc/$$/comm; cat /proc/$$/status`;
    const status = execFileSync("sh", ["-c", `${script}; :`]);
    expect(status.toString("latin1")).toMatch(/^Name:\t\rUid:\t7\t7\t\n/);
    expect(parseStatus(status)).toMatchObject({ uid: process.geteuid?.(), gid: process.getegid?.() });
  });

  test.each(["Uid", "Gid", "Groups"])("without %s it is MALFORMED", (line) => {
    const text = lines("sh").toString().replace(`${line}:`, "Other:");
    expect(() => parseStatus(Buffer.from(text))).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });

  test("no supplementary groups", () => {
    const text = lines("sh").toString().replace("27 100 ", "");
    expect(parseStatus(Buffer.from(text)).supplementaryGids).toEqual([]);
  });
});

describe("names", () => {
  test("the first line of a number counts; comments, compat entries and nonsense do not", () => {
    const names = parseNames(
      "root:x:0:0\ntoor:x:0:0\n#a:x:1:1\n+nis:x:2:2\n-no:x:3:3\nbad\n:x:4:4\nx:x:no:1\nweb:x:33:33:,,,\n",
    );
    expect([...names]).toEqual([
      [0, "root"],
      [33, "web"],
    ]);
  });

  test("changes are seen within a second, not looked for more often; a missing file has no names", () => {
    let now = 0;
    const clock: Clock = { ...systemClock, monotonic: () => now };
    const passwd = join(folder, "passwd");
    writeFileSync(passwd, "a:x:1:1\n");
    const names = new FileNames({ clock }, folder);
    expect([names.user(1), names.group(1)]).toEqual(["a", undefined]);
    writeFileSync(passwd, "b:x:1:1\n");
    utimesSync(passwd, 1, 1);
    writeFileSync(join(folder, "group"), "g:x:1:a\n");
    now = 999;
    expect([names.user(1), names.group(1)]).toEqual(["a", undefined]);
    now = 1000;
    expect([names.user(1), names.group(1)]).toEqual(["b", "g"]);
    rmSync(passwd);
    now = 2000;
    expect([names.user(1), names.group(1)]).toEqual([undefined, "g"]);
  });
});

describe("file work", () => {
  const { signal } = new AbortController();
  const job = (uid: number, device = 1n) => ({ uid, device, limitMs: 5_000 });
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
  };

  test("one at a time for each user, two in all, root more than one; users take turns", async () => {
    const work = new FileWork(systemClock);
    const running: number[] = [];
    const gates: (() => void)[] = [];
    const order: number[] = [];
    const start = (uid: number): Promise<void> =>
      work.run(job(uid), signal, async () => {
        running.push(uid);
        order.push(uid);
        await new Promise<void>((resolve) => gates.push(resolve));
        running.splice(running.indexOf(uid), 1);
      });
    const all = [7, 7, 7, 8, 0, 0, 9].map(start);
    await settle();
    expect(running).toEqual([7, 8]);
    for (let i = 0; i < 7; i++) {
      gates.shift()?.();
      await settle();
      expect(running.length).toBeLessThanOrEqual(2);
      expect(running.filter((uid) => uid === 7).length).toBeLessThanOrEqual(1);
    }
    await Promise.all(all);
    expect(order).toEqual([7, 8, 7, 0, 9, 7, 0]);
  });

  test("a user with hundreds waiting keeps no other one waiting for more than a turn", async () => {
    const work = new FileWork(systemClock);
    const gates: (() => void)[] = [];
    const hold = (uid: number): Promise<void> =>
      work.run(job(uid), signal, () => new Promise<void>((resolve) => gates.push(resolve)));
    const flood = [1, 2].flatMap((uid) => Array.from({ length: 300 }, () => hold(uid)));
    let served = false;
    const honest = work.run(job(3), signal, async () => {
      served = true;
    });
    await settle();
    for (let done = 0; done < 3; done++) {
      gates.shift()?.();
      await settle();
    }
    expect(served).toBe(true);
    await honest;
    while (gates.length > 0) {
      gates.shift()?.();
      await settle();
    }
    await Promise.all(flood);
  });

  test("a failure makes room, and a user's queue is bounded while others still come", async () => {
    const work = new FileWork(systemClock);
    await expect(work.run(job(1), signal, () => Promise.reject(new Error("x")))).rejects.toThrow("x");
    const gate = Promise.withResolvers<void>();
    const waiting = Array.from({ length: 501 }, () => work.run(job(1), signal, () => gate.promise));
    await expect(work.run(job(1), signal, () => gate.promise).catch(errorCode)).resolves.toBe("UNAVAILABLE");
    expect(await work.run(job(2), signal, async () => "other")).toBe("other");
    gate.resolve();
    await Promise.all(waiting);
  });

  test("a caller that has gone waits no more", async () => {
    const work = new FileWork(systemClock);
    const gate = Promise.withResolvers<void>();
    const gone = new AbortController();
    const first = work.run(job(1), signal, () => gate.promise);
    let ran = 0;
    const count = async (): Promise<void> => void ran++;
    const outcome = work.run(job(1), gone.signal, count).catch((error: unknown) => error);
    const other = work.run(job(1), signal, count);
    gone.abort(new Error("gone"));
    expect(await outcome).toEqual(new Error("gone"));
    gate.resolve();
    await Promise.all([first, other]);
    expect(ran).toBe(1);
    await expect(work.run(job(1), gone.signal, count)).rejects.toThrow("gone");
  });

  describe("on a file system that does not answer", () => {
    const silent = "the file system of the caller's program does not answer";
    const never = (): Promise<never> => new Promise(() => {});

    test("callers are told, others go on, and nobody comes in from there until it answers", async () => {
      const clock = new FakeClock();
      const work = new FileWork(clock);
      const gate = Promise.withResolvers<void>();
      const hung = [
        work.run(job(1), signal, () => gate.promise).catch(errorText),
        work.run(job(2), signal, never).catch(errorText),
        work.run(job(1), signal, never).catch(errorText),
        work.run(job(3), signal, async () => "served").catch(errorText),
      ];
      await clock.advance(5_000);
      expect(await Promise.all(hung)).toEqual([silent, silent, silent, "served"]);
      await expect(work.run(job(1), signal, never)).rejects.toThrow(silent);
      expect(await work.run(job(1, 2n), signal, async () => "another device")).toBe("another device");
      expect(await work.run(job(4), signal, async () => "another user")).toBe("another user");
      gate.resolve();
      await settle();
      expect(await work.run(job(1), signal, async () => "it answers again")).toBe("it answers again");
    });

    test("a bounded number of threads is lost to it, however many users and file systems there are", async () => {
      const clock = new FakeClock();
      const work = new FileWork(clock);
      let begun = 0;
      const outcomes = Array.from({ length: 40 }, (_, uid) =>
        work
          .run(job(uid + 1, BigInt(uid)), signal, () => {
            begun++;
            return never();
          })
          .catch(errorText),
      );
      for (let round = 0; round < 40; round++) await clock.advance(5_000);
      expect(new Set(await Promise.all(outcomes))).toEqual(new Set([silent]));
      expect(begun).toBeLessThanOrEqual(10);
    });
  });
});

describe("whether times tell of changes", () => {
  const tells = async (path: string): Promise<boolean> => {
    await using file = await open(path);
    return await timesTellOfChanges(file.fd);
  };

  test("not on tmpfs and other file systems without a disk", async () => {
    expect(await tells("/proc/self/status")).toBe(false);
    if ((await statfs("/dev/shm")).type !== 0x0102_1994) return;
    const path = join("/dev/shm", `holdfast-${process.pid}`);
    writeFileSync(path, "");
    try {
      expect(await tells(path)).toBe(false);
    } finally {
      rmSync(path);
    }
  });

  test("on this program's own file system, if it is one of disks", async () => {
    const onDisk = [0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630].includes((await statfs(process.execPath)).type);
    expect(await tells(process.execPath)).toBe(onDisk);
  });

  test("not if nobody knows", async () => {
    expect(await timesTellOfChanges(99_999)).toBe(false);
  });
});
