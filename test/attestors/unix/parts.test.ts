import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileWork } from "../../../src/attestors/unix/file-work.ts";
import { FileNames, parseNames } from "../../../src/attestors/unix/names.ts";
import { parseStatus } from "../../../src/attestors/unix/status.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { errorCode } from "../../../src/lib/errors.ts";

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
  test("one at a time for each user, two in all, root more than one; in order of arrival where possible", async () => {
    const work = new FileWork();
    const running: number[] = [];
    const gates: (() => void)[] = [];
    const order: number[] = [];
    const start = (uid: number): Promise<void> =>
      work.run(uid, async () => {
        running.push(uid);
        order.push(uid);
        await new Promise<void>((resolve) => gates.push(resolve));
        running.splice(running.indexOf(uid), 1);
      });
    const all = [7, 7, 7, 8, 0, 0].map(start);
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    await settle();
    expect(running).toEqual([7, 8]);
    for (let i = 0; i < 6; i++) {
      gates.shift()?.();
      await settle();
      expect(running.length).toBeLessThanOrEqual(2);
      expect(running.filter((uid) => uid === 7).length).toBeLessThanOrEqual(1);
    }
    await Promise.all(all);
    expect(order).toEqual([7, 8, 7, 0, 7, 0]);
  });

  test("a failure makes room, and a user's queue is bounded while others still come", async () => {
    const work = new FileWork();
    await expect(work.run(1, () => Promise.reject(new Error("x")))).rejects.toThrow("x");
    const gate = Promise.withResolvers<void>();
    const waiting = Array.from({ length: 501 }, () => work.run(1, () => gate.promise));
    await expect(work.run(1, () => gate.promise).catch(errorCode)).resolves.toBe("UNAVAILABLE");
    expect(await work.run(2, async () => "other")).toBe("other");
    gate.resolve();
    await Promise.all(waiting);
  });
});
