/** The text format of log lines: `time="…" level=info msg="…" key=value`, as SPIRE's users know it. */
import type { LogFields, LogValue } from "./log.ts";

/** Values of these characters alone stand without quotes. */
const PLAIN = /^[A-Za-z0-9\-._/@^+]+$/;
/** Invisible characters, among them those that steer a terminal or turn the direction of writing. */
const INVISIBLE = /\p{C}|\p{Zl}|\p{Zp}/gu;

/** One line without its line feed. Fields are in the order of their names. */
export function formatText(time: string, level: string, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${quote(textOf(value))}`);
  return [`time=${quote(time)}`, `level=${level}`, `msg=${quote(message)}`, ...pairs].join(" ");
}

function textOf(value: LogValue): string {
  return Array.isArray(value) ? `[${value.join(" ")}]` : String(value);
}

function quote(value: string): string {
  return PLAIN.test(value) ? value : JSON.stringify(value).replace(INVISIBLE, escapeUnits);
}

function escapeUnits(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }).join("");
}
