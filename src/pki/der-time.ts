/** UTCTime and GeneralizedTime in the two forms that RFC 5280 4.1.2.5 allows. */
import { malformed } from "./der-error.ts";
import { Tag } from "./tags.ts";

/** The letter that ends a time in UTC. */
const Z = 0x5a;
/** The years that UTCTime can express: from 1950 up to this one. */
const UTC_TIME_FROM = Date.UTC(1950, 0, 1);
const UTC_TIME_UNTIL = Date.UTC(2050, 0, 1);

/** Milliseconds since the Unix epoch. Throws `MALFORMED` for other tags, forms and impossible dates. */
export function readTime(tag: number, content: Uint8Array): number {
  const yearDigits = tag === Tag.UTC_TIME ? 2 : tag === Tag.GENERALIZED_TIME ? 4 : 0;
  if (yearDigits === 0 || content.length !== yearDigits + 11 || content.at(-1) !== Z) throw malformed("bad time");
  const pair = (at: number): number => digit(content[at]) * 10 + digit(content[at + 1]);
  const year = yearDigits === 4 ? pair(0) * 100 + pair(2) : pair(0) < 50 ? 2000 + pair(0) : 1900 + pair(0);
  const month = pair(yearDigits);
  const day = pair(yearDigits + 2);
  const hour = pair(yearDigits + 4);
  const minute = pair(yearDigits + 6);
  const second = pair(yearDigits + 8);
  const date = new Date(Date.UTC(2000, month - 1, day, hour, minute, second));
  // The last day of February depends on the year, and Date.UTC takes the years 0 to 99 for others.
  date.setUTCFullYear(year, month - 1, day);
  const isReal = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!isReal || hour > 23 || minute > 59 || second > 59) throw malformed("no such time");
  return date.getTime();
}

function digit(byte = 0): number {
  if (byte < 0x30 || byte > 0x39) throw malformed("bad time");
  return byte - 0x30;
}

/** Tag and digits of a time in the years 0 to 9999: UTCTime where it can express it. Whole seconds, rounded down. */
export function timeText(ms: number): { readonly tag: number; readonly text: string } {
  // 2026-11-22T10:20:30.000Z
  const iso = new Date(ms).toISOString();
  const digits = [0, 5, 8, 11, 14, 17].map((at) => iso.slice(at, at === 0 ? 4 : at + 2)).join("");
  return ms >= UTC_TIME_FROM && ms < UTC_TIME_UNTIL
    ? { tag: Tag.UTC_TIME, text: `${digits.slice(2)}Z` }
    : { tag: Tag.GENERALIZED_TIME, text: `${digits}Z` };
}
