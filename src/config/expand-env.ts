/** Puts environment variables into a configuration's text before it is read: `-expandEnv`. */
import type { Position } from "./hcl/node.ts";

/** Something an operator should know of the expansion. */
export interface ExpansionWarning {
  /** In the text before the expansion. */
  readonly at: Position;
  readonly problem: string;
}

/** The text with its variables replaced. */
export interface Expansion {
  readonly text: string;
  /** One per variable that is not set, and one per malformed `${`. */
  readonly warnings: readonly ExpansionWarning[];
}

/** `$name`, `${name}`, one of the shell's special characters, or a `${` that leads nowhere. */
const REFERENCE = /\$(?:\{(?<braced>[^}]*)\}|(?<open>\{)|(?<special>[*#$@!?\-0-9])|(?<plain>[A-Za-z0-9_]+))/g;
const NAME = /^(?:[A-Za-z0-9_]+|[*#$@!?-])$/;

/**
 * Replaces `$X` and `${X}` as Go's `os.Expand` does for SPIRE: everywhere, also in comments and without
 * regard to quotes; `$$` is one dollar sign; a dollar sign before anything else stays. Names that are not set
 * read as empty, with a warning.
 */
export function expandEnv(text: string, env: Readonly<Record<string, string | undefined>>): Expansion {
  const warnings: ExpansionWarning[] = [];
  const unset = new Set<string>();
  const expanded = text.replace(REFERENCE, (...match: unknown[]) => {
    const groups = match.at(-1) as Record<"braced" | "open" | "special" | "plain", string | undefined>;
    const offset = match.at(-3) as number;
    const name = groups.braced ?? groups.special ?? groups.plain ?? "";
    if (name === "$") return "$";
    if (!NAME.test(name)) {
      warnings.push({ at: positionOf(text, offset), problem: "a ${ that names no variable was left out" });
      return "";
    }
    const value = env[name];
    if (value === undefined && !unset.has(name)) {
      unset.add(name);
      warnings.push({
        at: positionOf(text, offset),
        problem: `environment variable ${name} is not set and reads as empty`,
      });
    }
    return value ?? "";
  });
  return { text: expanded, warnings };
}

function positionOf(text: string, offset: number): Position {
  const lines = text.slice(0, offset).split("\n");
  return { line: lines.length, column: (lines.at(-1) as string).length + 1 };
}
