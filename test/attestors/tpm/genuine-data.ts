/** Genuine certificates and quotes of TPMs, where they are beside the checkout. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../../..");

/** A folder of genuine data; `why` says what keeps it from being used, for the names of suites. */
export class GenuineData {
  readonly path: string;
  readonly isMissing: boolean;
  readonly why: string;

  constructor(name: string) {
    this.path = join(ROOT, "../shared/data", name);
    this.isMissing = !existsSync(this.path);
    this.why = this.isMissing ? ` (no ${this.path})` : "";
  }

  has(...names: string[]): boolean {
    return existsSync(join(this.path, ...names));
  }

  read(...names: string[]): Buffer {
    return readFileSync(join(this.path, ...names));
  }

  text(...names: string[]): string {
    return this.read(...names).toString();
  }
}
