/** The kinds of values that keys hold: how the file may spell them, what zod makes of them, how the manual shows them. */
import { z } from "zod";
import { AgentError } from "../lib/errors.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from "../spiffe/id.ts";
import { formatDuration, parseDuration } from "./duration.ts";

/** What a scalar may be spelt as before it is refused: HCL 1 lets a number stand for text and the reverse. */
export type Spelling = "text" | "number" | "boolean" | "list" | "map";

/** A kind of value. */
export interface Value<T> {
  readonly spelling: Spelling;
  /** For the manual, unit included. */
  readonly type: string;
  readonly schema: z.ZodType<T>;
  /** How the manual writes a value of this kind. */
  show(value: T): string;
}

/** Any text but the empty one, which counts as not set. */
export function text(type = "text"): Value<string> {
  return { spelling: "text", type, schema: textSchema("must be text in quotes"), show: (value) => value };
}

/** A path of a file, folder or socket; relative ones start at the working directory. */
export function path(): Value<string> {
  return text("path");
}

/** `true` or `false`, without quotes. */
export function flag(): Value<boolean> {
  const schema = z.boolean({ error: missingOr("must be true or false, without quotes") });
  return { spelling: "boolean", type: "true or false", schema, show: String };
}

/** A whole number from `least` to `most`, in quotes or without. */
export function integer(least: number, most: number, type = "whole number"): Value<number> {
  const message = `must be a whole number from ${least} to ${most}`;
  const schema = z.number({ error: missingOr(message) }).refine((n) => Number.isSafeInteger(n), { error: message });
  const bounded = schema.min(least, { error: message }).max(most, { error: message });
  return { spelling: "number", type, schema: bounded, show: String };
}

/** A TCP port. */
export function port(): Value<number> {
  return integer(1, 65_535, "port");
}

/** A duration in Go's syntax of at least `leastMs`; yields milliseconds. */
export function duration(leastMs: number): Value<number> {
  const message = "must be a duration such as 30s, 1h30m or 168h, in quotes";
  const schema = textSchema(message).transform((value, context) => {
    const ms = parseDuration(value);
    if (ms !== undefined && ms >= leastMs) return ms;
    return refuse(context, ms === undefined ? message : `must be at least ${formatDuration(leastMs)}`);
  });
  return { spelling: "text", type: "duration", schema, show: formatDuration };
}

/** One of a few words, in any case; yields what the word stands for. */
export function choice<T extends string>(words: Readonly<Record<string, T>>): Value<T> {
  const known = Object.keys(words);
  const message = `must be one of ${known.join(", ")}`;
  const schema = textSchema(message).transform((value, context): T => {
    const word = value.toLowerCase();
    return Object.hasOwn(words, word) ? (words[word] as T) : refuse(context, message);
  });
  return { spelling: "text", type: known.map((word) => `\`${word}\``).join(", "), schema, show: (value) => value };
}

/** A list of some of a few words. */
export function choices<T extends string>(known: Readonly<Record<string, T>>): Value<readonly T[]> {
  const { schema: item, type } = choice(known);
  const schema = z.array(item, { error: missingOr('must be a list such as ["a", "b"]') });
  return { spelling: "list", type: `list of ${type}`, schema, show: (value) => JSON.stringify(value) };
}

/** The words themselves, for `choice`. */
export function words<const T extends string>(...list: readonly T[]): Readonly<Record<T, T>> {
  return Object.fromEntries(list.map((word) => [word, word])) as Readonly<Record<T, T>>;
}

/** A list of texts. */
export function texts(): Value<readonly string[]> {
  const schema = z.array(textSchema("must be text in quotes"), {
    error: missingOr('must be a list such as ["a", "b"]'),
  });
  return { spelling: "list", type: "list of texts", schema, show: (value) => JSON.stringify(value) };
}

/** A list of whole numbers in quotes, from `least` to `most`; yields them ascending, each once. */
export function numbers(least: number, most: number): Value<readonly number[]> {
  const message = `must be whole numbers in quotes from ${least} to ${most}`;
  const isOne = (text: string): boolean => /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most;
  const schema = z
    .array(textSchema(message).refine(isOne, { error: message }), { error: missingOr('must be a list such as ["7"]') })
    .transform((texts) => [...new Set(texts.map(Number))].sort((a, b) => a - b));
  return { spelling: "list", type: "list of numbers", schema, show: (value) => JSON.stringify(value.map(String)) };
}

/** A list of SPIFFE IDs. */
export function spiffeIds(): Value<readonly SpiffeId[]> {
  const item = textSchema("must be a SPIFFE ID in quotes").transform(parseWith(parseSpiffeId));
  const schema = z.array(item, { error: missingOr('must be a list such as ["spiffe://example.org/a"]') });
  return { spelling: "list", type: "list of SPIFFE IDs", schema, show: (value) => JSON.stringify(value) };
}

/** A trust domain's name. */
export function trustDomain(): Value<TrustDomain> {
  const schema = textSchema("must be a trust domain in quotes").transform(parseWith(parseTrustDomain));
  return { spelling: "text", type: "trust domain", schema, show: (value) => value };
}

/** Blocks and keys whose names the file chooses, down to texts and lists of texts. */
export type TextMap = { readonly [name: string]: TextMap | readonly string[] };

/** A block with names of the file's own. `type` says what may stand in it. */
export function textMap(type: string): Value<TextMap> {
  // The reader has made it of nodes already, and reported what was no text.
  const schema = z.custom<TextMap>((value) => typeof value === "object" && value !== null);
  return { spelling: "map", type, schema, show: (value) => JSON.stringify(value) };
}

function textSchema(message: string): z.ZodString {
  return z.string({ error: missingOr(message) }).min(1, { error: "must not be empty" });
}

function missingOr(message: string): (issue: { readonly input?: unknown }) => string {
  return (issue) => (issue.input === undefined ? "is required" : message);
}

function parseWith<T>(parse: (text: string) => T): (value: string, context: z.RefinementCtx) => T {
  return (value, context) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return refuse(context, `not valid: ${error.message}`);
    }
  };
}

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: "custom", message });
  return z.NEVER;
}
