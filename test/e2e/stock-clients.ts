/** Builds programs on stock SPIFFE libraries, which come from their registries, and talks with them line by line. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { run } from "./support.ts";

/** A command line, or why there is none. */
export type Built = { readonly command: readonly string[] } | { readonly missing: string };

/** A Go program with go-spiffe. */
export async function buildGo(folder: string, source: string): Promise<Built> {
  if (!(await has("go", ["version"]))) return { missing: "go is not on PATH" };
  mkdirSync(folder);
  writeFileSync(join(folder, "main.go"), source);
  writeFileSync(join(folder, "go.mod"), "module client\n\ngo 1.24\n\nrequire github.com/spiffe/go-spiffe/v2 v2.9.0\n");
  const binary = join(folder, "client");
  const env = { ...process.env, GOFLAGS: "-mod=mod" };
  const built = await run("go", ["build", "-C", folder, "-o", binary, "."], { env });
  if (built.status === 0) return { command: [binary] };
  return { missing: `go-spiffe could not be fetched or built: ${built.stderr.split("\n").slice(0, 3).join(" ")}` };
}

/** A Python program with `spiffe`. */
export async function buildPython(folder: string, source: string): Promise<Built> {
  if (!(await has("python3", ["-c", "import venv, ensurepip"]))) return { missing: "python3 with venv is not on PATH" };
  const python = join(folder, "bin/python3");
  await run("python3", ["-m", "venv", folder]);
  const installed = await run(python, ["-m", "pip", "install", "-q", "--disable-pip-version-check", "spiffe==0.3.2"]);
  if (installed.status === 0) return { command: [python, "-c", source] };
  return { missing: `spiffe could not be installed: ${installed.stderr.split("\n")[0]}` };
}

async function has(program: string, args: readonly string[]): Promise<boolean> {
  try {
    return (await run(program, args)).status === 0;
  } catch {
    return false;
  }
}

/** A client that answers each line with one. */
export class LineClient implements Disposable {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #errors = "";

  constructor([program = "", ...args]: readonly string[]) {
    this.#process = spawn(program, args);
    this.#process.stderr.on("data", (bytes) => {
      this.#errors += String(bytes);
    });
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
  }

  /** Throws with what the client printed as errors when it ends instead. */
  async ask(line: string): Promise<string> {
    this.#process.stdin.write(`${line}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the client ended: ${this.#errors}`);
    return value;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
