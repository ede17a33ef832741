/** Whether an agent is running: by the lock in its data folder, and by who serves its socket. */
import { lstatSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { FileLocker, PeerCredentialSource } from "../../../lib/native.ts";
import { socketFd } from "../../../lib/socket-fd.ts";
import { LOCK_FILE } from "../../data-dir.ts";
import { errnoOf } from "./words.ts";

/** `held`: by a running agent; `unknown`: this user cannot tell. */
export type LockState = "held" | "free" | "unknown";

/** What is at the path of a socket. */
export type SocketOccupant =
  | { readonly kind: "nothing" }
  /** A socket that nobody serves any more: the agent replaces it. */
  | { readonly kind: "stale" }
  | { readonly kind: "not-a-socket" }
  | { readonly kind: "served"; readonly by: { readonly pid: number; readonly uid: number } | undefined }
  | { readonly kind: "hidden"; readonly errno: string };

/**
 * Asks for the lock and gives it back at once. A lock file that is missing is not asked for, since that would make it.
 */
export function lockState(dataDir: string, native: FileLocker | undefined): LockState {
  const path = join(dataDir, LOCK_FILE);
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return "free";
    if (native === undefined) return "unknown";
    const lock = native.lockFile(path);
    lock?.release();
    return lock === undefined ? "held" : "free";
  } catch (error) {
    return errnoOf(error) === "ENOTDIR" ? "free" : "unknown";
  }
}

/** Looks at a socket, and connects to it to learn who serves it; nothing is sent. */
export async function socketOccupant(
  path: string,
  native: PeerCredentialSource | undefined,
  signal: AbortSignal,
): Promise<SocketOccupant> {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return { kind: "nothing" };
    if (!stats.isSocket()) return { kind: "not-a-socket" };
  } catch (error) {
    return errnoOf(error) === "ENOTDIR" ? { kind: "nothing" } : { kind: "hidden", errno: errnoOf(error) };
  }
  return await new Promise((settle) => {
    const socket = connect({ path, signal });
    socket.once("connect", () => {
      settle({ kind: "served", by: peerOf(socket, native) });
      socket.destroy();
    });
    socket.once("error", (error) => {
      const errno = errnoOf(error);
      if (errno === "ECONNREFUSED") settle({ kind: "stale" });
      else settle(errno === "ENOENT" ? { kind: "nothing" } : { kind: "hidden", errno });
    });
  });
}

function peerOf(socket: Parameters<typeof socketFd>[0], native: PeerCredentialSource | undefined) {
  try {
    const peer = native?.peerCredentials(socketFd(socket));
    peer?.handle.close();
    return peer === undefined ? undefined : { pid: peer.pid, uid: peer.uid };
  } catch {
    // It may have ended, or live in another pid namespace: that it served is known all the same.
    return undefined;
  }
}
