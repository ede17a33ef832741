/** A command line's surroundings that remember what was printed. */
import type { CliContext } from "../../src/cli/command.ts";
import { systemClock } from "../../src/lib/clock.ts";

/** What a command printed. */
export interface Printed {
  stdout: string;
  stderr: string;
}

/** A context whose output is kept, with `stdin` as its standard input. */
export function fakeCliContext(
  overrides: Partial<CliContext> & { readonly input?: string } = {},
): CliContext & Printed {
  const context = {
    program: "holdfast-test",
    env: {},
    clock: systemClock,
    signal: new AbortController().signal,
    stdout: "",
    stderr: "",
    out(text: string) {
      context.stdout += text;
    },
    err(text: string) {
      context.stderr += text;
    },
    stdin: async () => overrides.input ?? "",
    ...overrides,
  };
  return context;
}
