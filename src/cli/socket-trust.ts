/** Whether the process behind an admin socket is one that may be believed. */
import { connect } from "node:net";
import { dirname } from "node:path";
import { errorText, publicError } from "../lib/errors.ts";
import type { PeerCredentialSource } from "../lib/native.ts";
import { checkSocketFolder } from "../lib/rpc/unix-folder.ts";
import { socketFd } from "../lib/socket-fd.ts";
import { connectError } from "./connect-error.ts";

/**
 * Connects to the socket and throws `PERMISSION_DENIED` unless its listener runs as root or as ourselves; or as another
 * user who alone could have put the socket there, because nobody else may write to any folder above it. Without this
 * anybody could be first to create a folder in /tmp and answer for the server. Nobody else may be able to put another
 * socket there afterwards, either: the call that follows is a connection of its own.
 */
export async function assertTrustedListener(path: string, native: PeerCredentialSource): Promise<void> {
  const uid = await listenerUid(path, native);
  const self = process.geteuid?.() ?? 0;
  const isOurs = uid === 0 || uid === self;
  try {
    checkSocketFolder(
      // Not normalised: the kernel takes `link/..` for the folder above where the link leads.
      dirname(path.startsWith("/") ? path : `${process.cwd()}/${path}`),
      isOurs ? { uids: [self], sticky: true } : { uids: [self, uid], sticky: false },
    );
  } catch (error) {
    const who = isOurs ? "" : ` is served by uid ${uid}, which is neither root nor this user, and`;
    throw publicError("PERMISSION_DENIED", `${path}${who} cannot be trusted: ${errorText(error)}`, { cause: error });
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
