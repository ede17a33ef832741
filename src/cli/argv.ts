/** Reads flags as Go programs do (SPIRE's among them): one dash or two, `-switch=false`. */

const LONG_FLAG = /^--?([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?$/s;
const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/**
 * Rewrites the arguments so that every long flag has two dashes and switches carry no value. What follows a flag
 * that takes a value is left alone, whatever it looks like; what follows `--` too.
 */
export function normalizeArgv(
  argv: readonly string[],
  switches: ReadonlySet<string>,
  valued: ReadonlySet<string>,
): string[] {
  const out: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? "";
    if (argument === "--") return [...out, ...argv.slice(index)];
    const match = LONG_FLAG.exec(argument);
    const name = match?.[1];
    if (name === undefined || name.length === 1) {
      out.push(argument);
      continue;
    }
    const value = match?.[2];
    if (switches.has(name) && value !== undefined) {
      if (FALSE.has(value)) continue;
      out.push(TRUE.has(value) ? `--${name}` : `--${name}=${value}`);
    } else if (valued.has(name) && value === undefined && index + 1 < argv.length) {
      // Joined, so that a value such as "-" or "-1" is not taken for a flag.
      out.push(`--${name}=${argv[++index] ?? ""}`);
    } else {
      out.push(value === undefined ? `--${name}` : `--${name}=${value}`);
    }
  }
  return out;
}
