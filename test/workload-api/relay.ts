/** Plays callers that hand their connection on: builds and drives `relay.c`. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readlinkSync, rmSync, statSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { X509SVIDResponse } from "../../src/gen/workload/workload.ts";
import { until } from "../lib/rpc/harness.ts";

/** The compiled program, in a folder open to other users. */
export class RelayProgram implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "relay-"));
  readonly path = join(this.folder, "relay");

  constructor() {
    execFileSync("chmod", ["755", this.folder]);
    execFileSync("cc", ["-Wall", "-Werror", "-o", this.path, join(import.meta.dirname, "relay.c")]);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What ended a call, and the messages before it. */
export interface RelayedAnswer {
  readonly messages: X509SVIDResponse[];
  readonly code: number | undefined;
  readonly text: string | undefined;
}

/** One running relay. The connection is the parent's in the eyes of the kernel; the child speaks for the test. */
export class Relay implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #server: Server;
  readonly #session: ClientHttp2Session;

  private constructor(process: ChildProcess, server: Server, child: Socket) {
    this.#process = process;
    this.#server = server;
    this.#session = connect("http://localhost", { createConnection: () => child });
    this.#session.on("error", () => {});
  }

  /**
   * Starts a command line that ends in the relay program, with `SECOND` for the socket of the test. Resolves when
   * the caller has connected and its child is there.
   */
  static async start(command: readonly string[], folder: string): Promise<Relay> {
    const server = createServer();
    const path = join(mkdtempSync(join(folder, "second-")), "s");
    server.listen(path);
    await once(server, "listening");
    execFileSync("chmod", ["-R", "a+rwX", join(path, "..")]);
    const [program = "", ...args] = command.map((word) => word.replaceAll("SECOND", path));
    const process = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
    const [child] = (await once(server, "connection")) as [Socket];
    return new Relay(process, server, child);
  }

  /** The pid of the caller. */
  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** Lets the caller do what its command line says. */
  act(): void {
    process.kill(this.pid, "SIGUSR1");
  }

  /** Waits until the caller executes the file. */
  async executes(path: string): Promise<void> {
    await until(() => readlinkSync(`/proc/${this.pid}/exe`) === path);
  }

  /** Waits until the caller's effective user is this one. */
  async becomes(uid: number): Promise<void> {
    await until(() => statSync(`/proc/${this.pid}`).uid === uid);
  }

  /** Kills the caller; its child lives on. */
  kill(): void {
    process.kill(this.pid, "SIGKILL");
  }

  /** Waits until the caller has exited and was reaped. */
  async exited(): Promise<void> {
    await until(() => this.#process.exitCode !== null || this.#process.signalCode !== null);
  }

  /** Lets the child call FetchX509SVID and reads to the end of the stream. */
  async fetch(onMessage: (message: X509SVIDResponse) => void = () => {}): Promise<RelayedAnswer> {
    const messages: X509SVIDResponse[] = [];
    const status = await this.call("/SpiffeWorkloadAPI/FetchX509SVID", Buffer.alloc(0), (bytes) => {
      const message = X509SVIDResponse.decode(bytes);
      messages.push(message);
      onMessage(message);
    });
    return { messages, ...status };
  }

  /** Lets the child call a method with one message, its half left open unless `last`; resolves when the call has ended. */
  call(
    path: string,
    message: Uint8Array,
    onMessage: (bytes: Buffer) => void,
    last = true,
  ): Promise<{ readonly code: number | undefined; readonly text: string | undefined }> {
    const stream = this.#session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "workload.spiffe.io": "true",
    });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.write(Buffer.concat([prefix, message]));
    if (last) stream.end();
    return new Promise((resolve) => {
      let status: Readonly<Record<string, unknown>> = {};
      let bytes = Buffer.alloc(0);
      const keep = (headers: object): void => {
        status = { ...headers };
      };
      stream.on("response", keep);
      stream.on("trailers", (headers) => {
        keep(headers);
        stream.end();
      });
      stream.on("error", () => {});
      stream.on("data", (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
          const end = 5 + bytes.readUInt32BE(1);
          onMessage(bytes.subarray(5, end));
          bytes = bytes.subarray(end);
        }
      });
      stream.on("close", () => {
        const { "grpc-status": code, "grpc-message": text } = status;
        resolve({
          code: code === undefined ? undefined : Number(code),
          text: typeof text === "string" ? decodeURIComponent(text) : undefined,
        });
      });
    });
  }

  /** Resolves when the agent has closed the connection. */
  async disconnected(): Promise<void> {
    await until(() => this.#session.destroyed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy();
    this.#server.close();
    this.#process.kill("SIGKILL");
    await this.exited();
  }
}
