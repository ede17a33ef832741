/** Check `agent_svid`: what the agent kept of an earlier run. The file is only read: nothing is set aside. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { type AgentData, decodeAgentData } from "../../../agent/agent-data.ts";
import { AGENT_DATA_FILE, MAX_AGENT_DATA_BYTES } from "../../../agent/storage.ts";
import type { AgentConfig } from "../../../config/agent-config.ts";
import { isExpired } from "../../../spiffe/rotation.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { isOpenToOthers } from "./paths.ts";
import { errnoOf, momentText, userText } from "./words.ts";

/** What was found at the file's place. */
export type Stored =
  | { readonly kind: "none" }
  | { readonly kind: "unreadable"; readonly errno: string }
  | { readonly kind: "unusable"; readonly why: string; readonly reason: string }
  | { readonly kind: "usable"; readonly data: AgentData; readonly isPrivate: boolean };

/** As `bootstrap.ts` has it: an SVID in its last second is no use. */
const EXPIRY_MARGIN_MS = 1_000;

/** Where the agent keeps it. */
export function storedPath({ dataDir, plugins }: Pick<AgentConfig, "dataDir" | "plugins">): string {
  return join(plugins.keyManager.name === "disk" ? plugins.keyManager.directory : dataDir, AGENT_DATA_FILE);
}

/** Reads it by the agent's rules: a regular file of that user or root, to which nobody else may write. */
export async function readStored(path: string, config: Pick<AgentConfig, "trustDomain">, uid: number): Promise<Stored> {
  const unusable = (why: string, reason: string): Stored => ({ kind: "unusable", why, reason });
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) return unusable("foreign", "it is not a regular file");
    if (stats.uid !== 0 && stats.uid !== uid) return unusable("foreign", `it belongs to ${userText(stats.uid)}`);
    if (isOpenToOthers(stats)) return unusable("foreign", "others may write to it");
    if (stats.size > MAX_AGENT_DATA_BYTES) return unusable("damaged", "it is too long");
    const data = decodeAgentData(await file.readFile("utf8"), config.trustDomain);
    if ("why" in data) return unusable(data.why, data.reason);
    return { kind: "usable", data, isPrivate: (stats.mode & 0o077) === 0 };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return { kind: "none" };
    return errno === "ELOOP" ? unusable("foreign", "it is a symbolic link") : { kind: "unreadable", errno };
  }
}

/** The stored identity, if a start of the agent would go on with it. */
export function usableIdentity(stored: Stored, now: number): AgentData["identity"] {
  if (stored.kind !== "usable" || stored.data.bundle === undefined || stored.data.identity === undefined)
    return undefined;
  const { identity, lastGoodTime } = stored.data;
  return isExpired(identity.svid, Math.max(now, lastGoodTime) + EXPIRY_MARGIN_MS) ? undefined : identity;
}

/** Decides. */
export function judgeStored(stored: Stored, path: string, now: number, keepsKey: boolean): Verdict {
  if (stored.kind === "none") return ok("none yet: the agent attests when it starts");
  if (stored.kind === "unreadable") {
    return fail(`${path} cannot be read: ${stored.errno}`, "let it belong to the agent's user, with mode 0600");
  }
  if (stored.kind === "unusable") {
    return warn(
      `${path} is ${stored.why}: ${stored.reason}`,
      stored.why === "newer-version"
        ? "it was written by a newer agent; this one sets it aside and attests anew"
        : "the agent sets it aside when it starts, and attests anew",
    );
  }
  const { identity, lastGoodTime } = stored.data;
  if (!keepsKey) return ok('not kept, for KeyManager is "memory": the agent attests at each start');
  if (identity === undefined) return ok("none yet: the agent attests when it starts");
  const { spiffeId, notAfter } = identity.svid;
  const details = {
    spiffe_id: spiffeId,
    expires_at: new Date(notAfter).toISOString(),
    reattestable: identity.reattestable,
  };
  if (usableIdentity(stored, now) === undefined) {
    const seen = Math.max(now, lastGoodTime);
    return { ...warn(`${spiffeId}, expired ${momentText(notAfter, seen)}`, "the agent attests anew"), details };
  }
  const found = `${spiffeId}, until ${momentText(notAfter, now)}`;
  if (stored.isPrivate) return { ...ok(found), details };
  const open = warn(
    `${found}; others may read its key in ${path}`,
    `chmod 0600 ${path}, evict the agent and let it join anew`,
  );
  return { ...open, details };
}
