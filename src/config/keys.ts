/** Describes the keys of a configuration: one table per section, from which come the validation and the manual. */
import { z } from "zod";
import type { Value } from "./values.ts";

/** One key that holds a value. */
export interface Key<T> extends Value<T> {
  readonly kind: "key";
  /** For the manual: the value that stands when the key is absent, or `required`, or `none`. */
  readonly fallback: string;
  /** For the manual: what the key does. */
  readonly meaning: string;
  /** What to tell an operator who sets the key: that it is old, or does not do all it should in this version. */
  readonly warning?: string;
}

/** A block of keys. */
export interface Section<T> {
  readonly kind: "section";
  readonly keys: Readonly<Record<string, Item<unknown>>>;
  readonly schema: z.ZodType<T>;
  /** Whether the block's absence means something else than an empty block. */
  readonly optional: boolean;
  readonly meaning: string;
  readonly warning?: string;
}

/** What a section holds under one name. */
export type Item<T> = Key<T> | Section<T>;

/** What a section holds under all its names. */
export type Table = Readonly<Record<string, Item<unknown>>>;

/** The value that a table's keys are read into; absent optional keys are `undefined`. */
export type Read<T extends Table> = { readonly [Name in keyof T]: T[Name] extends Item<infer Type> ? Type : never };

/** The value that a section is read into. */
export type SectionValue<S> = S extends Section<infer Type> ? Type : never;

/** Text beside a key's value. */
interface Remarks {
  readonly warning?: string;
}

/** A key without which the file is refused. */
export function required<T>(value: Value<T>, meaning: string, remarks: Remarks = {}): Key<T> {
  return { ...value, kind: "key", fallback: "required", meaning, ...remarks };
}

/** A key that may be absent: `undefined` then. */
export function optional<T>(
  value: Value<T>,
  meaning: string,
  remarks: Remarks & { fallback?: string } = {},
): Key<T | undefined> {
  const { fallback = "none", ...rest } = remarks;
  const show = (shown: T | undefined): string => (shown === undefined ? "none" : value.show(shown));
  return { ...value, show, schema: value.schema.optional(), kind: "key", fallback, meaning, ...rest };
}

/** A key with a default. */
export function defaulted<T>(value: Value<T>, fallback: T, meaning: string, remarks: Remarks = {}): Key<T> {
  const schema = value.schema.optional().transform((read) => (read === undefined ? fallback : read));
  return { ...value, schema, kind: "key", fallback: `\`${value.show(fallback)}\``, meaning, ...remarks };
}

/** A block whose absence is the same as an empty block. */
export function section<T extends Table>(keys: T, meaning: string, remarks: Remarks = {}): Section<Read<T>> {
  return { kind: "section", keys, schema: strict(keys), optional: false, meaning, ...remarks };
}

/** A block whose absence reads as `undefined`. */
export function optionalSection<T extends Table>(
  keys: T,
  meaning: string,
  remarks: Remarks = {},
): Section<Read<T> | undefined> {
  return { kind: "section", keys, schema: strict(keys).optional(), optional: true, meaning, ...remarks };
}

function strict<T extends Table>(keys: T): z.ZodType<Read<T>> {
  const shape = Object.fromEntries(Object.entries(keys).map(([name, item]) => [name, item.schema]));
  return z.strictObject(shape) as unknown as z.ZodType<Read<T>>;
}
