/** UTCTime and GeneralizedTime in the two forms that RFC 5280 4.1.2.5 allows. */
import { malformed } from "./der-error.ts";
import { Tag } from "./tags.ts";

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
/** Longest form, `YYYYMMDDHHMMSSZ`. */
const LONGEST = 15;
/** The years that UTCTime can express: from 1950 up to this one. */
const UTC_TIME_FROM = Date.UTC(1950, 0, 1);
const UTC_TIME_UNTIL = Date.UTC(2050, 0, 1);

/** Milliseconds since the Unix epoch. Throws `MALFORMED` for other tags, forms and impossible dates. */
export function readTime(tag: number, content: Uint8Array): number {
  if (content.length > LONGEST) throw malformed("bad time");
  const text = String.fromCharCode(...content);
  const form = tag === Tag.UTC_TIME ? UTC_TIME : tag === Tag.GENERALIZED_TIME ? GENERALIZED_TIME : undefined;
  const match = form?.exec(text);
  if (!match) throw malformed("bad time");
  const [, years = "", month, day, hour, minute, second] = match;
  const year = tag === Tag.GENERALIZED_TIME ? years : `${Number(years) < 50 ? "20" : "19"}${years}`;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const ms = Date.parse(iso);
  // Date.parse moves the 31st of February to March: only real dates come back as they went in.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) throw malformed("no such time");
  return ms;
}

/** Tag and digits of a time in the years 0 to 9999: UTCTime where it can express it. Whole seconds, rounded down. */
export function timeText(ms: number): { readonly tag: number; readonly text: string } {
  // 2026-11-22T10:20:30.000Z
  const digits = new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, "");
  return ms >= UTC_TIME_FROM && ms < UTC_TIME_UNTIL
    ? { tag: Tag.UTC_TIME, text: `${digits.slice(2)}Z` }
    : { tag: Tag.GENERALIZED_TIME, text: `${digits}Z` };
}
