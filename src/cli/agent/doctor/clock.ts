/** Check `clock`: against what the agent saw before, and against the server's certificate. */
import type { Lifetime } from "../../../spiffe/rotation.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { lengthText, timeText } from "./words.ts";

/** What there is to compare with. Milliseconds since the Unix epoch. */
export interface ClockFacts {
  readonly now: number;
  /** When an agent of this node last knew that things were in order. */
  readonly lastGoodTime: number | undefined;
  /** Of the server's certificate, whether or not it could be verified. */
  readonly server: Lifetime | undefined;
}

/** No agent of ours ran before. */
const FIRST_YEAR = 2025;
/** Clocks are set while agents run. */
const TOLERANCE_MS = 60_000;
const SET_IT =
  "set it, and keep it set (systemd-timesyncd, chrony); a host without a battery needs that before the agent";

/** Decides. */
export function judgeClock({ now, lastGoodTime = 0, server }: ClockFacts): Verdict {
  const time = timeText(now);
  if (new Date(now).getUTCFullYear() < FIRST_YEAR) return fail(`it says ${time}, which is long past`, SET_IT);
  if (server !== undefined && now < server.notBefore) {
    const behind = lengthText(server.notBefore - now);
    return fail(
      `it says ${time}, at least ${behind} before the server's certificate was made`,
      `${SET_IT}; or the server's is ahead`,
    );
  }
  if (now + TOLERANCE_MS < lastGoodTime) {
    const behind = lengthText(lastGoodTime - now);
    return warn(`it says ${time}, ${behind} before this agent last ran (${timeText(lastGoodTime)})`, SET_IT);
  }
  if (server === undefined) return ok(`${time}; no server to compare it with`);
  if (now > server.notAfter) {
    const after = lengthText(now - server.notAfter);
    return warn(`it says ${time}, ${after} after the server's certificate expired`, `if it is ahead, ${SET_IT}`);
  }
  return ok(`${time}, within the validity of the server's certificate`);
}
