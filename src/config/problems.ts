/** Gathers everything that is wrong with a configuration, so that an operator sees it all at once. */
import type { Position } from "./hcl/node.ts";

/** Stands for a position of values that did not come from the file. */
export const COMMAND_LINE: Position = { line: 0, column: 0 };

interface Problem {
  readonly at: Position;
  readonly text: string;
}

/** Errors and warnings of one file. */
export class Problems {
  readonly #fileName: string;
  readonly #errors: Problem[] = [];
  readonly #warnings: Problem[] = [];

  constructor(fileName: string) {
    this.#fileName = fileName;
  }

  /** The configuration cannot be used. `key` is empty where no key is concerned. */
  error(at: Position, key: string, problem: string): void {
    this.#errors.push({ at, text: this.#line(at, key, problem) });
  }

  /** The configuration can be used, but not all of it does what it says. */
  warn(at: Position, key: string, problem: string): void {
    this.#warnings.push({ at, text: this.#line(at, key, problem) });
  }

  /** One line per error, in the order of the file. */
  get errors(): readonly string[] {
    return inOrder(this.#errors);
  }

  /** One line per warning, in the order of the file. */
  get warnings(): readonly string[] {
    return inOrder(this.#warnings);
  }

  #line(at: Position, key: string, problem: string): string {
    const place = at === COMMAND_LINE ? "command line" : `${this.#fileName}:${at.line}:${at.column}`;
    return [place, ...(key === "" ? [] : [key]), problem].join(": ");
  }
}

function inOrder(problems: readonly Problem[]): readonly string[] {
  return problems
    .toSorted((left, right) => left.at.line - right.at.line || left.at.column - right.at.column)
    .map(({ text }) => text);
}
