/** What the tests of the addon share: the addon itself, a listening socket, and child processes that connect to it. */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { NativeAddon, PeerCredentials, PeerCredentialsOptions } from "../../src/lib/native.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const ADDON_FILE = join(ROOT, "native/build/holdfast.node");

/** Builds the addon if it is older than its sources, and loads it. */
export function loadAddon(): NativeAddon {
  execFileSync("sh", [join(ROOT, "native/build.sh")], { stdio: ["ignore", "inherit", "inherit"] });
  return createRequire(import.meta.url)(ADDON_FILE) as NativeAddon;
}

/** True if the program is there and exits with 0. */
export function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

export function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

/** A folder that is removed again, open to other users. */
export class TestFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "holdfast-native-"));

  constructor() {
    chmodSync(this.path, 0o755);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A child process that speaks in lines, and is killed at the end if it still runs. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exit: Promise<unknown>;

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    this.process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], ...options });
    if (this.process.stdout === null) throw new Error("the child's output must be a pipe");
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
    this.#exit = once(this.process, "exit");
  }

  /** Runs a script in this Node; the addon is `process.argv[1]`, then come `args`. */
  static node(script: string, args: readonly string[] = [], options: SpawnOptions = {}): Child {
    return new Child(process.execPath, ["-e", script, "--", ADDON_FILE, ...args], options);
  }

  get pid(): number {
    return this.process.pid ?? Number.NaN;
  }

  async line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    return done ? "(end of output)" : value;
  }

  send(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  /** Waits until it has exited and has been reaped; gives its status, or the signal's name. */
  async exit(): Promise<number | string | null> {
    await this.#exit;
    return this.process.exitCode ?? this.process.signalCode;
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.exit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
  }
}

/** A script that connects to `process.argv[2]`, and exits when it reads a line or its input ends. */
export const CONNECT = `
  require("net").connect(process.argv[2]).on("error", () => {});
  process.stdin.once("data", () => process.exit()).once("end", () => process.exit());
`;

/** Accepts connections on a Unix socket. */
export class Listener implements AsyncDisposable {
  readonly #folder = new TestFolder();
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #clients: Socket[] = [];
  #accepted = 0;
  readonly path: string;

  private constructor() {
    this.path = join(this.#folder.path, "s");
    // Reads nothing, so that a connection stays open when the other end has gone.
    this.#server = createServer({ pauseOnConnect: true });
  }

  static async open(): Promise<Listener> {
    const listener = new Listener();
    listener.#server.on("connection", (socket) => listener.#sockets.push(socket.on("error", () => {})));
    listener.#server.setMaxListeners(0);
    listener.#server.listen(listener.path);
    await once(listener.#server, "listening");
    chmodSync(listener.path, 0o777);
    return listener;
  }

  get fd(): number {
    return fdOf(this.#server);
  }

  /** The descriptor of the next connection. */
  async accept(): Promise<number> {
    const index = this.#accepted++;
    while (this.#sockets.length <= index) await once(this.#server, "connection");
    return fdOf(this.#sockets[index] as Socket);
  }

  /** Connects from this process. */
  async connectSelf(): Promise<number> {
    this.#clients.push(connect(this.path).on("error", () => {}));
    return this.accept();
  }

  /** Starts a child that connects, and waits for that. */
  async connectChild(options: SpawnOptions = {}, script = CONNECT): Promise<{ child: Child; fd: number }> {
    const accepted = this.accept();
    const child = Child.node(script, [this.path], options);
    return { child, fd: await accepted };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.#clients, ...this.#sockets]) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
    this.#folder[Symbol.dispose]();
  }
}

/** The descriptor below a socket or server; Node has no public name for it. */
export function fdOf(handle: Socket | Server): number {
  return (handle as unknown as { _handle: { fd: number } })._handle.fd;
}

/** The code of the error that `work` throws. */
export function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "(no error)";
}

/** Every way to follow a process. */
export const WAYS: readonly { kind: PeerCredentials["handle"]["kind"]; options: PeerCredentialsOptions }[] = [
  { kind: "peer-pidfd", options: {} },
  { kind: "pidfd-open", options: { force: "pidfd-open" } },
  { kind: "start-time", options: { force: "start-time" } },
];

/** A promise of the callback of `onExit`. */
export function exitOf(peer: PeerCredentials): Promise<void> {
  return new Promise((done) => peer.handle.onExit(done));
}
