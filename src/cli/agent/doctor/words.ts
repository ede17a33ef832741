/** How moments, lengths and owners are written in the report. */
import { readFileSync } from "node:fs";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time in its largest fitting unit: `3 days`, `2 h`, `40 s`. */
export function lengthText(ms: number): string {
  const length = Math.abs(ms);
  if (length >= 2 * DAY) return `${Math.round(length / DAY)} days`;
  if (length >= 2 * HOUR) return `${Math.round(length / HOUR)} h`;
  if (length >= 2 * MINUTE) return `${Math.round(length / MINUTE)} min`;
  return `${Math.round(length / 1000)} s`;
}

/** A moment, in UTC to the second. */
export function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString().replace(/\.\d+Z$/, "Z");
}

/** A moment with how far away it is: `2026-11-27T13:00:00Z (in 5 h)`. */
export function momentText(ms: number, now: number): string {
  return `${timeText(ms)} (${ms >= now ? `in ${lengthText(ms - now)}` : `${lengthText(now - ms)} ago`})`;
}

/** Permission bits as `ls` and `chmod` users know them: `0755`. */
export function modeText(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

/** A user as `holdfast (uid 998)`, or `uid 998` where the host's file knows no name. */
export function userText(uid: number): string {
  const name = nameIn("/etc/passwd", uid);
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`;
}

/** The name of a group, or its number. */
export function groupText(gid: number): string {
  return nameIn("/etc/group", gid) ?? `gid ${gid}`;
}

/** For the command line of `sudo -u`: the name where there is one. */
export function userArgument(uid: number): string {
  return nameIn("/etc/passwd", uid) ?? `'#${uid}'`;
}

/** The number is in the third column of both files. */
function nameIn(file: string, id: number): string | undefined {
  try {
    const line = readFileSync(file, "utf8")
      .split("\n")
      .map((text) => text.split(":"))
      .find((columns) => columns[2] === String(id));
    return line?.[0] || undefined;
  } catch {
    return undefined;
  }
}

/** The errno name of an error of the system. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" ? code : "unknown error";
}
