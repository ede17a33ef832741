/** Check `user`: permissions are judged for whoever runs the command, which should be the agent's own user. */
import { ok, type Verdict, warn } from "./check.ts";
import { userArgument, userText } from "./words.ts";

/** Who runs the command, and who seems to be the agent's user. */
export interface UserFacts {
  readonly uid: number;
  /** Of the process that serves the socket while the data folder is locked. */
  readonly running: number | undefined;
  /** Owner of the data folder; undefined while there is none. */
  readonly dataOwner: number | undefined;
}

/** The user whose agent is judged: the running agent's, else the data folder's owner, else ourselves. */
export function agentUid({ uid, running, dataOwner }: UserFacts): number {
  // Only root sees enough to judge for others.
  return uid === 0 ? (running ?? dataOwner ?? 0) : uid;
}

/** Decides. */
export function judgeUser(facts: UserFacts): Verdict {
  return { ...judge(facts), details: { uid: facts.uid } };
}

function judge(facts: UserFacts): Verdict {
  const { uid, running, dataOwner } = facts;
  const me = `run as ${userText(uid)}`;
  const again = (other: number): string =>
    `permissions are judged for who asks; if the agent is that user's: sudo ${other === 0 ? "" : `-u ${userArgument(other)} `}holdfast-agent doctor …`;
  if (running !== undefined) {
    if (running === uid) return ok(`${me}, as the running agent is`);
    return warn(`${me}; the running agent is ${userText(running)}`, again(running));
  }
  if (uid !== 0) {
    if (dataOwner === undefined || dataOwner === uid) return ok(me);
    return warn(`${me}; the data folder belongs to ${userText(dataOwner)}`, again(dataOwner));
  }
  if (dataOwner !== undefined && dataOwner !== 0) {
    return warn(`${me}; the data folder belongs to ${userText(dataOwner)}`, again(dataOwner));
  }
  return warn(
    `${me}, who may do everything`,
    "unless the agent runs as root too, run doctor as the agent's user, for whom permissions are then judged",
  );
}
