/** The text format of log lines: `time="…" level=info msg="…" key=value`, as SPIRE's users know it. */
import type { LogFields, LogValue } from "./log.ts";
import { visible } from "./visible.ts";

/** Values of these characters alone stand without quotes. */
const PLAIN = /^[A-Za-z0-9\-._/@^+]+$/;

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
  return PLAIN.test(value) ? value : visible(JSON.stringify(value));
}
