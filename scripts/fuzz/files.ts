/** Where inputs are kept between runs, and where those of findings go. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding } from "./target.ts";

/** Saved inputs, a folder for each target. */
export class CorpusFolder {
  readonly #folder: string;

  constructor(folder: string, target: string) {
    this.#folder = join(folder, target);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** All inputs, in the order of their names. */
  read(): readonly Uint8Array[] {
    return readdirSync(this.#folder)
      .sort()
      .map((name) => new Uint8Array(readFileSync(join(this.#folder, name))));
  }

  /** Adds one; the same bytes have the same name. */
  add(input: Uint8Array): void {
    writeFileSync(join(this.#folder, nameOf(input)), input);
  }
}

/** Saves the input of a finding; returns the file. */
export function saveFinding(folder: string | undefined, { target, input }: Finding): string {
  const place = folder ?? mkdtempSync(join(tmpdir(), "holdfast-fuzz-"));
  mkdirSync(place, { recursive: true });
  const file = join(place, `${target}-${nameOf(input)}`);
  writeFileSync(file, input);
  return file;
}

function nameOf(input: Uint8Array): string {
  return createHash("sha256").update(input).digest("hex").slice(0, 16);
}
