/** Whether the process behind an admin socket is one that may be believed. */
import { statSync } from "node:fs";
import { connect } from "node:net";
import { dirname, resolve } from "node:path";
import { publicError } from "../lib/errors.ts";
import type { PeerCredentialSource } from "../lib/native.ts";
import { socketFd } from "../lib/socket-fd.ts";
import { connectError } from "./connect-error.ts";

const WRITABLE_BY_OTHERS = 0o022;

/**
 * Connects to the socket and throws unless its listener runs as root or as ourselves; or as another user who
 * alone could have put the socket there, because nobody else may write to any folder above it. Without this
 * anybody could be first to create a folder in /tmp and answer for the server.
 */
export async function assertTrustedListener(path: string, native: PeerCredentialSource): Promise<void> {
  const uid = await listenerUid(path, native);
  const self = process.geteuid?.();
  if (uid === 0 || uid === self) return;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    const { uid: owner, mode } = statSync(folder);
    if ((owner !== 0 && owner !== uid && owner !== self) || (mode & WRITABLE_BY_OTHERS) !== 0) {
      throw publicError(
        "PERMISSION_DENIED",
        `${path} is served by uid ${uid}, which is neither root nor this user, and others may write to ${folder}; use a socket in a folder that only its owner may write to, such as /run/holdfast`,
      );
    }
    if (folder === "/") return;
  }
}

function listenerUid(path: string, native: PeerCredentialSource): Promise<number> {
  return new Promise((resolveUid, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      try {
        const { uid, handle } = native.peerCredentials(socketFd(socket));
        handle.close();
        resolveUid(uid);
      } catch (error) {
        reject(error);
      } finally {
        socket.destroy();
      }
    });
    socket.once("error", (error: NodeJS.ErrnoException) => reject(connectError(path, error)));
  });
}
