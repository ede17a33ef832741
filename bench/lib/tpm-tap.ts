/** Stands between an agent and its software TPM, and sees when they speak: that is when a ceremony is under way. */
import { connect, createServer, type Server } from "node:net";
import type { Span } from "./probe.ts";
import { monotonicMicros } from "./worker.ts";

/** The steps of one ceremony are not further apart. */
const SAME_CEREMONY_MICROS = 500_000;
/** Before the TPM is first asked, the agent makes a key and a CSR. */
const BEFORE_MICROS = 100_000;
/** After its last answer, the agent verifies the SVID, stores it and begins to use it. */
const AFTER_MICROS = 300_000;

/** A socket that passes everything on to a TPM's. */
export class TpmTap implements AsyncDisposable {
  readonly socketPath: string;
  readonly #server: Server;
  readonly #opened: Span[] = [];

  private constructor(socketPath: string, server: Server) {
    this.socketPath = socketPath;
    this.#server = server;
  }

  /** Listens at `socketPath` for the TPM at `tpmSocket`. */
  static async open(socketPath: string, tpmSocket: string): Promise<TpmTap> {
    const server = createServer();
    const tap = new TpmTap(socketPath, server);
    server.on("connection", (agent) => {
      const from = monotonicMicros();
      const tpm = connect(tpmSocket);
      agent.pipe(tpm).pipe(agent);
      for (const [one, other] of [
        [agent, tpm],
        [tpm, agent],
      ] as const)
        one.on("error", () => other.destroy()).once("close", () => other.destroy());
      agent.once("close", () => tap.#opened.push({ from, to: monotonicMicros() }));
    });
    await new Promise<void>((done, reject) => server.once("error", reject).listen(socketPath, done));
    return tap;
  }

  /** The TPM's name for the agent. */
  get tcti(): string {
    return `swtpm:path=${this.socketPath}`;
  }

  /** Forgets what it saw. */
  reset(): void {
    this.#opened.length = 0;
  }

  /** The ceremonies that it saw, from the first use of the TPM to the last. */
  ceremonies(): readonly Span[] {
    const spans: Span[] = [];
    for (const { from, to } of this.#opened) {
      const last = spans.at(-1);
      if (last !== undefined && from - last.to < SAME_CEREMONY_MICROS) spans[spans.length - 1] = { ...last, to };
      else spans.push({ from, to });
    }
    return spans;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((done) => this.#server.close(done));
  }
}

/** A ceremony with what the agent does around it. */
export function around({ from, to }: Span): Span {
  return { from: from - BEFORE_MICROS, to: to + AFTER_MICROS };
}
