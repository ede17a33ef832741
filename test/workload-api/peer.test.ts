import net from "node:net";
import { expect, test } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import type { ExecutableIdentity, PeerCredentials, PeerHandle } from "../../src/lib/native.ts";
import { ConnectedPeer } from "../../src/workload-api/peer.ts";
import { until } from "../lib/rpc/harness.ts";

/** What the kernel says, as the test wants it. */
class FakeHandle implements PeerHandle {
  readonly kind = "peer-pidfd";
  alive = true;
  closed = false;
  released = 0;
  looks = 0;
  executed: ExecutableIdentity | string = identity(1n);
  ownedBy = { uid: 2, gid: 3 };
  exit: (() => void) | undefined;

  isAlive(): boolean {
    return this.alive && !this.closed;
  }
  onExit(callback: () => void): void {
    if (this.exit !== undefined) throw new Error("EALREADY");
    this.exit = callback;
  }
  owner(): { uid: number; gid: number } {
    return this.ownedBy;
  }
  executable(): ExecutableIdentity {
    this.looks++;
    if (typeof this.executed === "string") throw Object.assign(new Error(this.executed), { code: this.executed });
    return this.executed;
  }
  openExecutable(): Promise<number> {
    return Promise.resolve(7);
  }
  readProc(): Buffer {
    return Buffer.from("status");
  }
  releaseProc(): void {
    this.released++;
  }
  close(): void {
    this.closed = true;
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

function identity(inode: bigint, more: Partial<ExecutableIdentity> = {}): ExecutableIdentity {
  return { device: 1n, inode, size: 1n, mtimeNs: 1n, ctimeNs: 1n, path: "/bin/x", ...more };
}

function connect(handle = new FakeHandle()) {
  const socket = new net.Socket();
  const credentials: PeerCredentials = { pid: 1, uid: 2, gid: 3, groups: [4], handle };
  return { handle, socket, peer: new ConnectedPeer(credentials, socket, systemClock) };
}

test("the executable is looked at when the connection comes, and the folder given back", () => {
  const { handle, peer } = connect();
  expect([handle.looks, handle.released]).toEqual([1, 1]);
  expect(peer).toMatchObject({ pid: 1, uid: 2, gid: 3, groups: [4], executableIsHidden: false });
});

test("unchanged: the same device and inode, whatever the times and the path say", () => {
  const { handle, peer } = connect();
  handle.executed = identity(1n, { path: "/moved", mtimeNs: 9n });
  expect(peer.isUnchanged()).toBe(true);
  handle.executed = identity(2n);
  expect(peer.isUnchanged()).toBe(false);
  handle.executed = identity(1n, { device: 2n });
  expect(peer.isUnchanged()).toBe(false);
  handle.executed = "ENOENT";
  expect(peer.isUnchanged()).toBe(false);
  handle.executed = identity(1n);
  expect(peer.isUnchanged()).toBe(true);
  handle.alive = false;
  expect(peer.isUnchanged()).toBe(false);
});

test("unchanged: of the user and group who connected", () => {
  for (const other of [
    { uid: 0, gid: 3 },
    { uid: 2, gid: 0 },
  ]) {
    const { handle, peer } = connect();
    handle.ownedBy = other;
    expect(peer.isUnchanged()).toBe(false);
    expect(peer.isAlive()).toBe(true);
  }
});

test("where the kernel hides what callers execute, it must stay hidden", () => {
  const handle = new FakeHandle();
  handle.executed = "EACCES";
  const { peer } = connect(handle);
  expect(peer.executableIsHidden).toBe(true);
  expect(peer.isUnchanged()).toBe(true);
  expect(() => peer.executable()).toThrow("EACCES");
  handle.executed = identity(1n);
  expect(peer.isUnchanged()).toBe(false);
  const seen = connect();
  seen.handle.executed = "EACCES";
  expect(seen.peer.isUnchanged()).toBe(false);
});

test("a caller that is gone at once is refused, and its handle closed", () => {
  const handle = new FakeHandle();
  handle.executed = "ESRCH";
  expect(() => connect(handle)).toThrow("ESRCH");
  expect(handle.closed).toBe(true);
});

test("a refused caller is believed no more, and its connection closes soon", async () => {
  const { peer, socket } = connect();
  peer.refuse();
  expect([peer.isAlive(), peer.isUnchanged(), socket.destroyed]).toEqual([false, false, false]);
  await until(() => socket.destroyed);
});

test("all who listen hear of the exit; not those who left, nor after the connection has closed", async () => {
  const { handle, peer, socket } = connect();
  const heard: string[] = [];
  peer.onExit(() => heard.push("a"));
  const leave = peer.onExit(() => heard.push("b"));
  peer.onExit(() => heard.push("c"));
  leave();
  handle.exit?.();
  expect(heard).toEqual(["a", "c"]);
  await until(() => socket.destroyed);
  const second = connect();
  second.peer.onExit(() => heard.push("d"));
  second.peer.close();
  second.handle.exit?.();
  second.peer.onExit(() => heard.push("e"))();
  second.peer.rest();
  expect(heard).toEqual(["a", "c"]);
  expect(second.handle).toMatchObject({ closed: true, released: 1 });
});
