/** Programs on stock SPIFFE libraries: building them once for each user, and following what they print. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Outcome, run } from "../support.ts";

/** A command line, or why there is none. */
export type Built = { readonly command: readonly string[] } | { readonly missing: string };

/** Where what was built stays between runs. Others may not write there: it is run. */
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "holdfast", "clients");

/** How a program in a folder of sources is made ready. */
export interface Recipe {
  /** Name of the folder with the sources. */
  readonly language: string;
  /** A command that tells the version of what builds it. */
  readonly toolchain: readonly string[];
  /** Builds in the folder, a copy of the sources. */
  readonly build: (folder: string) => Promise<Outcome>;
  /** What runs it. */
  readonly command: (folder: string) => readonly string[];
  /** What the folder needs not keep. */
  readonly waste?: string;
  /** A variable of the environment without which a client that was not built before is not built. */
  readonly onlyWith?: string;
}

/** What the recipe makes, from the cache if sources, lock file and toolchain are those of an earlier run. */
export async function build(recipe: Recipe): Promise<Built> {
  const version = await attempt(recipe.toolchain);
  if (version?.status !== 0) return { missing: `${recipe.toolchain[0]} is not on PATH` };
  const sources = join(import.meta.dirname, recipe.language);
  const kept = join(CACHE, `${recipe.language}-${hashOf(sources, version.stdout)}`);
  if (existsSync(kept)) return { command: recipe.command(kept) };
  if (recipe.onlyWith !== undefined && !process.env[recipe.onlyWith]) {
    return { missing: `building the client takes minutes; set ${recipe.onlyWith}=1 to have it built, once` };
  }
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(CACHE, "building-"));
  try {
    cpSync(sources, folder, { recursive: true });
    const { status, stdout, stderr } = await recipe.build(folder);
    if (status !== 0) {
      const said = `${stderr}${stdout}`.trim().split("\n").slice(0, 5).join(" ");
      return { missing: `the client could not be fetched or built: ${said}` };
    }
    if (recipe.waste !== undefined) rmSync(join(folder, recipe.waste), { recursive: true, force: true });
    if (!existsSync(kept)) renameSync(folder, kept);
    return { command: recipe.command(kept) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function hashOf(folder: string, toolchain: string): string {
  const hash = createHash("sha256").update(toolchain);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map((file) => join(file.parentPath, file.name)).sort()) {
    const text = readFileSync(path);
    hash.update(`\n${path.slice(folder.length)} ${text.length}\n`).update(text);
  }
  return hash.digest("hex").slice(0, 16);
}

async function attempt([program = "", ...args]: readonly string[]): Promise<Outcome | undefined> {
  try {
    return await run(program, args);
  } catch {
    return undefined;
  }
}

/** What a client has printed last: of its certificate and of its token. */
export interface Seen {
  readonly x509?: { readonly id: string; readonly serial: string; readonly roots: number };
  readonly jwt?: { readonly id: string; readonly keys: number };
}

/** What is known after a line of a client. */
export function read(seen: Seen, line: string): Seen {
  const x509 = /^x509 (\S+) serial (\S+) roots (\d+)$/.exec(line);
  if (x509 !== null) return { ...seen, x509: { id: x509[1]!, serial: x509[2]!, roots: Number(x509[3]) } };
  const jwt = /^jwt (\S+) keys (\d+)$/.exec(line);
  if (jwt !== null) return { ...seen, jwt: { id: jwt[1]!, keys: Number(jwt[2]) } };
  throw new Error(`the client printed: ${line}`);
}

/** A running client, which prints a line when what it follows has changed. */
export class Client implements Disposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #timeout: NodeJS.Timeout;
  #seen: Seen = {};
  #errors = "";

  constructor([program = "", ...args]: readonly string[], socket: string, timeoutMs = 90_000) {
    const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` };
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    child.stderr.on("data", (bytes) => {
      this.#errors += String(bytes);
    });
    child.on("error", (error) => {
      this.#errors += String(error);
    });
    this.#process = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    // Its end ends whoever waits for a line.
    this.#timeout = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  }

  /** Reads until `enough` says so of what was printed last. */
  async until(what: string, enough: (seen: Seen) => boolean): Promise<Seen> {
    while (!enough(this.#seen)) {
      const { value, done } = await this.#lines.next();
      if (done === true) {
        throw new Error(`no ${what}; last seen ${JSON.stringify(this.#seen)}; errors: ${this.#errors}`);
      }
      this.#seen = read(this.#seen, value);
    }
    return this.#seen;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timeout);
    this.#process.kill("SIGKILL");
  }
}
