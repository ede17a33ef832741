/** Runs a client in a process of its own and calls it: what it spends is not the measured server's, nor the bench's. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";

interface Order {
  readonly id: number;
  readonly operation: string;
  readonly options: unknown;
}

type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

/** The operations of a client: options in, result out, both plain data. */
export type Operations = Readonly<Record<string, (options: never) => Promise<unknown>>>;

/** A client process, seen from the bench. `O` is the type of its operations. */
export class Worker<O extends Operations> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { done(result: unknown): void; fail(error: Error): void }>();
  #next = 0;

  /** Starts `file` (a module of this folder's parent). */
  constructor(file: string) {
    this.#process = fork(join(import.meta.dirname, "..", file), [], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      // Options for the measured programs, such as `--cpu-prof`, are not meant for their clients.
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    this.#process.on("message", (message) => this.#answered(message as Answer));
    this.#process.once("exit", () => this.#failAll(new Error(`${file} ended`)));
    this.#process.once("error", (error) => this.#failAll(error));
  }

  /** Runs an operation there. */
  call<N extends keyof O & string>(operation: N, ...[options]: Parameters<O[N]>): ReturnType<O[N]> {
    const id = this.#next++;
    return new Promise((done, fail) => {
      this.#waiting.set(id, { done, fail });
      this.#process.send({ id, operation, options } satisfies Order);
    }) as ReturnType<O[N]>;
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) waiting?.fail(new Error(answer.error));
    else waiting?.done(answer.result);
  }

  #failAll(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.fail(error);
    this.#waiting.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null || signalCode !== null) return;
    const exited = new Promise((done) => this.#process.once("exit", done));
    this.#process.kill("SIGKILL");
    await exited;
  }
}

/** Serves operations to the bench; the client's module calls this. */
export function serveOperations(operations: Operations): void {
  process.on("message", (message) => {
    const { id, operation, options } = message as Order;
    const run = operations[operation];
    // The bench calls by the operations' type, so that the options are of the operation's own.
    const work = run === undefined ? Promise.reject(new Error(`no operation ${operation}`)) : run(options as never);
    work.then(
      (result) => process.send?.({ id, result } satisfies Answer),
      (error: unknown) =>
        process.send?.({ id, error: error instanceof Error ? error.message : String(error) } satisfies Answer),
    );
  });
  process.once("disconnect", () => process.exit());
}

/** Now, in µs of the clock that all processes of a machine share. */
export function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
