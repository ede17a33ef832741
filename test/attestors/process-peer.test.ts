/** Processes named by pid: each read is of that process or fails. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, readdirSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ProcessPeer } from "../../src/attestors/process-peer.ts";

describe("a process named by its pid", () => {
  test("is seen as it is", async () => {
    using peer = new ProcessPeer(process.pid);
    expect(peer.uid).toBe(process.geteuid?.());
    expect(peer.gid).toBe(process.getegid?.());
    // Node adds the effective group to its own list.
    expect(process.getgroups?.()).toEqual(expect.arrayContaining([...peer.groups]));
    const { ino, dev } = statSync(process.execPath, { bigint: true });
    expect(peer.executable()).toMatchObject({ inode: ino, device: dev, path: process.execPath });
    const fd = await peer.openExecutable();
    expect(fstatSync(fd, { bigint: true }).ino).toBe(ino);
    closeSync(fd);
    expect(peer.isUnchanged()).toBe(true);
  });

  test("is unchanged no more once it executes another program", async () => {
    const child = spawn("sh", ["-c", "read go; exec sleep 60"], { stdio: ["pipe", "ignore", "ignore"] });
    await once(child, "spawn");
    using peer = new ProcessPeer(child.pid ?? 0);
    expect(peer.isUnchanged()).toBe(true);
    child.stdin.end("go\n");
    await expect.poll(() => peer.isUnchanged()).toBe(false);
    expect(peer.isAlive()).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(peer.isAlive()).toBe(false);
    expect(() => peer.readProc("status")).toThrow();
  });

  test("must exist", () => {
    for (const pid of [-1, 0.5, 2 ** 31, 2 ** 31 - 1]) {
      expect(() => new ProcessPeer(pid)).toThrow("workload attestation failed");
    }
  });

  test("costs no descriptor once it is closed", async () => {
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 10; i++) new ProcessPeer(process.pid).close();
    await expect.poll(() => readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
    const peer = new ProcessPeer(process.pid);
    peer.close();
    peer.close();
    expect(peer.isAlive()).toBe(false);
    expect(() => peer.executable()).toThrow();
  });
});
