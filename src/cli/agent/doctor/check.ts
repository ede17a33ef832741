/** What a check of `doctor` comes to, and how all of them become an exit status. */
import { errorText } from "../../../lib/errors.ts";

/** `fail` keeps the agent from its work, `warn` may; `skip` was not looked at. */
export type Status = "ok" | "warn" | "fail" | "skip";

/** One line of the report. */
export interface Check {
  /** The same in every version: programs look for it. */
  readonly name: string;
  readonly status: Status;
  /** What is there, in words. May have several lines. */
  readonly found: string;
  /** What to do about it. */
  readonly advice?: string;
  /** The same as data; for `-output json`. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What a decision says beside the name of what it decided on. */
export type Verdict = Omit<Check, "name">;

export const ok = (found: string, advice?: string): Verdict => verdict("ok", found, advice);
export const warn = (found: string, advice?: string): Verdict => verdict("warn", found, advice);
export const fail = (found: string, advice?: string): Verdict => verdict("fail", found, advice);
export const skip = (found: string): Verdict => verdict("skip", found);

function verdict(status: Status, found: string, advice?: string): Verdict {
  return { status, found, ...(advice === undefined ? {} : { advice }) };
}

/** Makes a check of a decision, in which an error that nobody expected must not hide the other checks. */
export async function checked(name: string, decide: () => Verdict | Promise<Verdict>): Promise<Check> {
  try {
    return { name, ...(await decide()) };
  } catch (error) {
    return { name, ...fail(`could not be checked: ${errorText(error)}`) };
  }
}

/** 0 when nothing failed; warnings are allowed. */
export function exitStatus(checks: readonly Check[]): number {
  return checks.some(({ status }) => status === "fail") ? 1 : 0;
}
