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
  /** What `rememberExecutable` says, or the code that it throws. */
  seen: boolean | string = true;
  unchanged = true;
  exit: (() => void) | undefined;

  isAlive(): boolean {
    return this.alive && !this.closed;
  }
  onExit(callback: () => void): void {
    if (this.exit !== undefined) throw new Error("EALREADY");
    this.exit = callback;
  }
  owner(): { uid: number; gid: number } {
    return { uid: 2, gid: 3 };
  }
  executable(): ExecutableIdentity {
    return { device: 1n, inode: 1n, size: 1n, mtimeNs: 1n, ctimeNs: 1n, path: "/bin/x" };
  }
  rememberExecutable(): boolean {
    if (typeof this.seen === "string") throw Object.assign(new Error(this.seen), { code: this.seen });
    return this.seen;
  }
  isUnchanged(): boolean {
    return this.alive && this.unchanged && !this.closed;
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

function connect(handle = new FakeHandle()) {
  const socket = new net.Socket();
  const credentials: PeerCredentials = { pid: 1, uid: 2, gid: 3, groups: [4], handle };
  return { handle, socket, peer: new ConnectedPeer(credentials, socket, systemClock) };
}

test("the executable is looked at when the connection comes; the folder stays open until the first rest", () => {
  const { handle, peer } = connect();
  expect(handle.released).toBe(0);
  expect(peer).toMatchObject({ pid: 1, uid: 2, gid: 3, groups: [4], executableIsHidden: false });
  peer.rest();
  expect(handle.released).toBe(1);
});

test("whether it is unchanged the kernel is asked each time", () => {
  const { handle, peer } = connect();
  expect(peer.isUnchanged()).toBe(true);
  handle.unchanged = false;
  expect([peer.isUnchanged(), peer.isAlive()]).toEqual([false, true]);
  handle.unchanged = true;
  expect(peer.isUnchanged()).toBe(true);
});

test("where the kernel hides what callers execute, that is known", () => {
  const handle = new FakeHandle();
  handle.seen = false;
  const { peer } = connect(handle);
  expect([peer.executableIsHidden, peer.isUnchanged()]).toEqual([true, true]);
});

test("a caller that is gone at once is refused, and its handle closed", () => {
  const handle = new FakeHandle();
  handle.seen = "ESRCH";
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
  expect(second.handle).toMatchObject({ closed: true, released: 0 });
});
