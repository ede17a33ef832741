/** The demo's workload: PyPI's `spiffe` client in interpreters of its own, so that its path can be told apart. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Outcome, run } from "../lib/programs.ts";
import { StepFailed } from "./steps.ts";

const SCRIPT = join(import.meta.dirname, "client.py");
/** The version that the demo was tried with. */
const CLIENT = "spiffe==0.3.2";

/** What the client prints. */
export interface ClientEvent {
  readonly event: "svid" | "refused";
  readonly spiffeId?: string;
  readonly serial?: string;
  readonly notAfter?: string;
  readonly ms?: number;
  readonly reason?: string;
}

/** Interpreters at two paths, which share one installation of the client. */
export interface Interpreters {
  /** The one that the entry names. */
  readonly registered: string;
  /** A copy of it elsewhere. */
  readonly other: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A Python that every user of the machine can run. */
export function findPython(): string | undefined {
  return ["/usr/bin/python3", "/usr/local/bin/python3"].find((path) => existsSync(path));
}

/** Installs the client below `folder`. */
export async function installClient(python: string, folder: string): Promise<Interpreters> {
  const home = join(folder, "web");
  const other = join(folder, "elsewhere");
  await must(python, ["-m", "venv", "--copies", home]);
  await must(join(home, "bin/python3"), [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-cache-dir",
    "--disable-pip-version-check",
    CLIENT,
  ]);
  await must(python, ["-m", "venv", "--copies", "--without-pip", other]);
  const site = await must(join(home, "bin/python3"), ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
  const env = {
    PATH: process.env.PATH,
    PYTHONPATH: site.stdout.trim(),
    PYTHONDONTWRITEBYTECODE: "1",
    GRPC_VERBOSITY: "NONE",
  };
  return {
    registered: await executable(join(home, "bin/python3")),
    other: await executable(join(other, "bin/python3")),
    env,
  };
}

/** The file that the kernel says a Python executes. */
async function executable(python: string): Promise<string> {
  return (await must(python, ["-c", "import os; print(os.readlink('/proc/self/exe'))"])).stdout.trim();
}

async function must(program: string, args: readonly string[]): Promise<Outcome> {
  const outcome = await run(program, args);
  if (outcome.status !== 0)
    throw new StepFailed(`${program} ${args.slice(0, 3).join(" ")} failed:\n${outcome.stdout}${outcome.stderr}`);
  return outcome;
}

/** Runs the client once and returns what it saw. */
export async function fetchOnce(
  python: string,
  env: NodeJS.ProcessEnv,
  socket: string,
  uid?: number,
): Promise<ClientEvent> {
  const outcome = await run(python, [SCRIPT, "fetch", socket], { env, ...(uid === undefined ? {} : { uid }) });
  const line = outcome.stdout.split("\n")[0] ?? "";
  if (line === "") throw new StepFailed(`the client said nothing:\n${outcome.stderr}`);
  return JSON.parse(line) as ClientEvent;
}

/** A client that holds a stream open. */
export class Watcher implements Disposable {
  readonly #process: ChildProcess;
  readonly #events: ClientEvent[] = [];
  #wake: (() => void) | undefined;

  constructor(python: string, env: NodeJS.ProcessEnv, socket: string) {
    this.#process = spawn(python, [SCRIPT, "watch", socket], { env, stdio: ["ignore", "pipe", "inherit"] });
    const { stdout } = this.#process;
    if (stdout === null) throw new Error("no standard output");
    createInterface({ input: stdout }).on("line", (line) => {
      this.#events.push(JSON.parse(line) as ClientEvent);
      this.#wake?.();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The next event; fails after `timeoutMs`. */
  async next(timeoutMs: number): Promise<ClientEvent> {
    const deadline = AbortSignal.timeout(timeoutMs);
    while (this.#events.length === 0) {
      if (deadline.aborted) throw new StepFailed(`the open stream brought nothing within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return this.#events.shift() as ClientEvent;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
