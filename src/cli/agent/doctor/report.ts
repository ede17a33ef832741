/** Prints checks: aligned lines for people, one JSON object for programs. */
import type { Check, Status } from "./check.ts";

const WORDS: Readonly<Record<Status, string>> = { ok: "ok", warn: "warn", fail: "FAIL", skip: "skip" };
const STATUS_WIDTH = 6;
/** The longest name is `admin_socket_folder`. */
const NAME_WIDTH = 21;
const INDENT = " ".repeat(STATUS_WIDTH + NAME_WIDTH);

/** A check with what to do on the line after. Lines are not broken, so that they can be searched. */
export function checkText({ name, status, found, advice }: Check): string {
  const [first = "", ...more] = found.split("\n");
  const lines = [`${WORDS[status].padEnd(STATUS_WIDTH)}${name.padEnd(NAME_WIDTH)}${first}`];
  for (const line of more) lines.push(`${INDENT}${line}`);
  if (advice !== undefined) lines.push(`${INDENT}-> ${advice}`);
  return `${lines.join("\n")}\n`;
}

/** The last line: how many of each kind. */
export function summaryText(checks: readonly Check[]): string {
  const count = (wanted: Status): number => checks.filter(({ status }) => status === wanted).length;
  const [failed, warned] = [count("fail"), count("warn")];
  const looked = checks.length - count("skip");
  const warnings = warned === 0 ? "" : `, ${warned} ${warned === 1 ? "warning" : "warnings"}`;
  const all = `${looked} ${looked === 1 ? "check" : "checks"}`;
  return `\n${all}, ${failed === 0 ? "none" : failed} failed${warnings}.\n`;
}

/** All of it as JSON, on one line as the other commands print it. */
export function reportJson(checks: readonly Check[]): string {
  return `${JSON.stringify({ ok: checks.every(({ status }) => status !== "fail"), checks })}\n`;
}
