/** What a command is: data from which parsing, help, completion and the reference page are made. */
import type { Clock } from "../lib/clock.ts";

/** Where a command reads and writes; tests hand in their own. */
export interface CliContext {
  /** The program's name, `holdfast-agent` or `holdfast-server`. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  out(text: string): void;
  err(text: string): void;
  /** Writes as `out` does, but escape sequences too: what others chose is made visible first. Absent where `out` goes to no terminal. */
  readonly terminal?: (text: string) => void;
  /** All of standard input. */
  stdin(): Promise<string>;
}

/** One flag. Long flags take one dash or two. */
export interface OptionSpec {
  /** As it is typed, without dashes: `spiffeID`. */
  readonly name: string;
  /** Placeholder of its value; absent for a switch. */
  readonly value?: string;
  /** May be given several times. */
  readonly repeat?: boolean;
  readonly description: string;
  /** Shown in the help; applied by the command. */
  readonly default?: string;
}

/** Values as they were given: a text, a list of texts for a repeated flag, `true` for a switch. */
export type OptionValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** Runs a command; resolves to the exit status. */
export type CommandRun = (options: OptionValues, context: CliContext) => Promise<number>;

/** A command or sub-command. */
export interface CommandSpec {
  /** Words after the program's name: `["entry", "create"]`. */
  readonly path: readonly string[];
  /** One line, without a full stop. */
  readonly summary: string;
  /** Paragraphs for the help. */
  readonly description?: string;
  readonly options: readonly OptionSpec[];
  /** Command lines with what they do. */
  readonly examples?: readonly { readonly line: string; readonly does: string }[];
  /** Loads the implementation when it is needed, so that one command does not pay for the others. */
  readonly load: () => Promise<{ readonly run: CommandRun }>;
}

/** A command was used wrongly: the message goes to stderr, with a hint at the help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A text option, or `fallback`. */
export function text(options: OptionValues, name: string, fallback = ""): string {
  const value = options[name];
  return typeof value === "string" ? value : fallback;
}

/** A repeated text option. */
export function texts(options: OptionValues, name: string): readonly string[] {
  const value = options[name];
  if (Array.isArray(value)) return value as readonly string[];
  return typeof value === "string" ? [value] : [];
}

/** A switch. */
export function flag(options: OptionValues, name: string): boolean {
  return options[name] === true;
}

/** A text option that must be given. */
export function required(options: OptionValues, name: string): string {
  const value = text(options, name);
  if (value === "") throw new UsageError(`-${name} is required`);
  return value;
}

/** A whole number option; `undefined` when it was not given. */
export function integer(options: OptionValues, name: string): number | undefined {
  const value = options[name];
  if (typeof value !== "string") return undefined;
  if (!/^-?\d+$/.test(value) || !Number.isSafeInteger(Number(value))) {
    throw new UsageError(`-${name} takes a whole number, not "${value}"`);
  }
  return Number(value);
}
