/** Software TPMs with a vendor of their own, as child processes: for the demo, the bench and the end-to-end tests. */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join, resolve } from "node:path";
import { Daemon, run } from "./programs.ts";
import { exchangeOver, type PcrBank, TpmCommands } from "./tpm-commands.ts";

/** What each endorsement key is: swtpm_setup makes RSA 2048 and P-384 ones, and P-256 is added by hand. */
export type EkKind = "rsa" | "p256" | "p384";

/** The NV index of the certificate of each endorsement key. */
export const EK_CERTIFICATE_INDEX: Record<EkKind, number> = { rsa: 0x01c00002, p256: 0x01c0000a, p384: 0x01c00016 };
/** The persistent handle of each endorsement key. */
export const EK_HANDLE: Record<EkKind, number> = { rsa: 0x81010001, p256: 0x81010002, p384: 0x81010016 };

/** What a TPM has. */
export interface SwtpmOptions {
  /** Where everything is put. Keep it short: the path of a socket has at most 107 bytes. */
  readonly folder: string;
  /** Which endorsement keys have a certificate in NV. Default: RSA and P-384, as swtpm_setup writes. */
  readonly ekCertificates?: readonly EkKind[];
  /** Default: SHA-256 alone. */
  readonly banks?: readonly PcrBank[];
  /** Which endorsement keys are at their persistent handle. Default: none. */
  readonly persistentEk?: readonly EkKind[];
  /** Who signs the certificates. Default: a CA of its own. */
  readonly ca?: SwtpmCa;
}

const PROGRAMS = ["swtpm", "swtpm_setup", "swtpm_localca", "setpriv"] as const;
const SOCKET_PATH_MAX = 107;
const COMMAND_TIMEOUT_MS = 5_000;
/** A point of P-256: its generator. */
const SOME_X = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
const SOME_Y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/** A vendor's certificate authority: a root and an issuer. TPMs may share it; a second one is another vendor. */
export class SwtpmCa {
  readonly folder: string;
  /** PEM files: the issuer of the endorsement key certificates, and its root. */
  readonly roots: readonly [issuer: string, root: string];
  /** For swtpm_setup. */
  readonly setupConfig: string;
  /** For swtpm_localca. */
  readonly #files: readonly string[];

  private constructor(folder: string) {
    this.folder = folder;
    this.roots = [join(folder, "issuercert.pem"), join(folder, "swtpm-localca-rootca-cert.pem")];
    this.setupConfig = join(folder, "setup.conf");
    this.#files = ["--configfile", join(folder, "localca.conf"), "--optsfile", join(folder, "localca.options")];
    const [, config = "", , extras = ""] = this.#files;
    mkdirSync(folder, { recursive: true });
    const keys = `signingkey = ${join(folder, "signkey.pem")}\nissuercert = ${this.roots[0]}`;
    writeFileSync(config, `statedir = ${folder}\n${keys}\ncertserial = ${join(folder, "certserial")}\n`);
    writeFileSync(extras, "--platform-manufacturer Holdfast\n--platform-version 1\n--platform-model harness\n");
    const tool = `create_certs_tool = ${find("swtpm_localca") ?? "swtpm_localca"}`;
    const toolFiles = `create_certs_tool_config = ${config}\ncreate_certs_tool_options = ${extras}`;
    writeFileSync(this.setupConfig, `${tool}\n${toolFiles}\n`);
  }

  /** Makes the keys and certificates of a CA in `folder`. */
  static async create(folder: string): Promise<SwtpmCa> {
    const ca = new SwtpmCa(resolve(folder));
    // swtpm_localca makes its CA when it first issues a certificate.
    await ca.issue(SOME_X, SOME_Y);
    return ca;
  }

  /** Issues a certificate for a P-256 endorsement key as swtpm_setup has it done for the other ones; DER. */
  async issue(x: string, y: string): Promise<Uint8Array> {
    const out = mkdtempSync(join(this.folder, "issue-"));
    const key = `x=${x},y=${y},id=secp256r1`;
    const tpm = words("--tpm-manufacturer id:00001014 --tpm-model swtpm --tpm-version id:20191023");
    const spec = words("--tpm2 --tpm-spec-family 2.0 --tpm-spec-level 0 --tpm-spec-revision 164");
    const what = ["--type", "ek", "--ek", key, "--vmid", "unknown", "--dir", out];
    await succeed("swtpm_localca", [...what, ...spec, ...tpm, ...this.#files]);
    return new Uint8Array(readFileSync(join(out, "ek.cert")));
  }
}

/** A running software TPM. It ends with this object, or with our process. */
export class Swtpm implements AsyncDisposable {
  readonly folder: string;
  readonly socketPath: string;
  /** Its name for tpm2-tss, tpm2-tools and ourselves. */
  readonly tcti: string;
  /** PEM files that its endorsement key certificates are rooted in. */
  readonly roots: readonly string[];
  /** Raw commands, one connection each. */
  readonly tpm: TpmCommands;
  #daemon: Daemon;

  private constructor(folder: string, roots: readonly string[]) {
    this.folder = folder;
    this.socketPath = join(folder, "tpm.sock");
    this.tcti = `swtpm:path=${this.socketPath}`;
    this.roots = roots;
    this.tpm = new TpmCommands(exchangeOver(this.socketPath, COMMAND_TIMEOUT_MS));
    this.#daemon = this.#spawn();
  }

  /** Why no TPM can be started here, with the Debian packages that help; undefined when one can. */
  static missing(): string | undefined {
    const absent = PROGRAMS.filter((program) => find(program) === undefined);
    const packages = "Debian packages swtpm, swtpm-tools, util-linux";
    return absent.length === 0 ? undefined : `not on PATH: ${absent.join(", ")} (${packages})`;
  }

  /** Manufactures a TPM and powers it on. */
  static async start(options: SwtpmOptions): Promise<Swtpm> {
    const missing = Swtpm.missing();
    if (missing !== undefined) throw new Error(missing);
    const folder = resolve(options.folder);
    if (Buffer.byteLength(join(folder, "tpm.sock.ctrl")) > SOCKET_PATH_MAX)
      throw new Error(`the path is too long for a socket in it (${SOCKET_PATH_MAX} bytes): ${folder}`);
    if (/[,\s]/.test(folder)) throw new Error(`swtpm cannot take a comma or space in a path: ${folder}`);
    const state = join(folder, "state");
    mkdirSync(state, { recursive: true });
    const ca = options.ca ?? (await SwtpmCa.create(join(folder, "ca")));
    const banks = (options.banks ?? ["sha256"]).join(",");
    const content = words("--create-ek-cert --create-platform-cert --lock-nvram --overwrite");
    const where = ["--tpm2", "--tpmstate", state, "--config", ca.setupConfig, "--pcr-banks", banks];
    await succeed("swtpm_setup", [...where, ...content]);
    await using cleanup = new AsyncDisposableStack();
    const swtpm = cleanup.use(new Swtpm(folder, ca.roots));
    await swtpm.#ready();
    await swtpm.#provision(ca, options.ekCertificates ?? ["rsa", "p384"], options.persistentEk ?? []);
    cleanup.move();
    return swtpm;
  }

  get process(): ChildProcess {
    return this.#daemon.process;
  }

  get pid(): number {
    const { pid } = this.process;
    if (pid === undefined) throw new Error("swtpm did not start");
    return pid;
  }

  /** The TPM no longer answers. */
  pause(): void {
    this.process.kill("SIGSTOP");
  }

  /** It answers again, what it was asked meanwhile too. */
  resume(): void {
    this.process.kill("SIGCONT");
  }

  /** The TPM is gone, and its connections with it. {@link restart} brings it back. */
  async kill(): Promise<void> {
    await this.#daemon.stop("SIGKILL");
  }

  /** A reboot: keys and NV stay, PCRs start anew, resetCount grows, connections are lost. */
  async restart(): Promise<void> {
    this.resume();
    // What an operating system does last, if nobody else holds the one connection.
    await new TpmCommands(exchangeOver(this.socketPath, 500)).shutdown().catch(() => undefined);
    await this.kill();
    this.#daemon = this.#spawn();
    await this.#ready();
  }

  /** Extends a PCR. */
  async extend(bank: PcrBank, index: number, digest: Uint8Array): Promise<void> {
    await this.tpm.pcrExtend(bank, index, digest);
  }

  /** The value of a PCR. */
  async readPcr(bank: PcrBank, index: number): Promise<Uint8Array> {
    return this.tpm.pcrRead(bank, index);
  }

  /** How many transient objects and sessions are loaded: what a client left behind. */
  async loadedHandles(): Promise<{ readonly transient: number; readonly sessions: number }> {
    const transient = await this.tpm.handles(0x80000000);
    const sessions = await this.tpm.handles(0x02000000);
    return { transient: transient.length, sessions: sessions.length };
  }

  /** Puts the TPM into dictionary attack lockout. */
  async lockout(): Promise<void> {
    await this.tpm.lockOut();
  }

  /** Sends one raw command and gives the raw answer. Waits while another connection to this TPM is open. */
  command(bytes: Uint8Array, timeoutMs: number = COMMAND_TIMEOUT_MS): Promise<Uint8Array> {
    return exchangeOver(this.socketPath, timeoutMs)(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #spawn(): Daemon {
    const control = `${this.socketPath}.ctrl`;
    for (const path of [this.socketPath, control]) rmSync(path, { force: true });
    const sockets = ["--server", `type=unixio,path=${this.socketPath}`, "--ctrl", `type=unixio,path=${control}`];
    const state = ["--tpmstate", `dir=${join(this.folder, "state")}`, "--flags", "not-need-init,startup-clear"];
    // A child does not die with us, unless the kernel is told that it shall.
    const args = [...words("--pdeathsig KILL swtpm socket --tpm2"), ...sockets, ...state];
    return new Daemon("swtpm", "setpriv", args, join(this.folder, "swtpm.log"));
  }

  /** It serves whoever connects from now on: perhaps a client that lost it, and not us. */
  async #ready(): Promise<void> {
    await this.#daemon.until("listening", () => isListening(this.socketPath));
  }

  /** Adds P-256 to what swtpm_setup made, and takes away what nobody wants. */
  async #provision(ca: SwtpmCa, certificates: readonly EkKind[], persistent: readonly EkKind[]): Promise<void> {
    const { x, y } = await this.tpm.createP256Ek(EK_HANDLE.p256);
    if (certificates.includes("p256")) await this.tpm.nvStore(EK_CERTIFICATE_INDEX.p256, await ca.issue(x, y));
    for (const kind of ["rsa", "p256", "p384"] as const) {
      if (!certificates.includes(kind) && kind !== "p256") await this.tpm.nvRemove(EK_CERTIFICATE_INDEX[kind]);
      if (!persistent.includes(kind)) await this.tpm.evict(EK_HANDLE[kind], EK_HANDLE[kind]);
    }
  }
}

const words = (line: string): string[] => line.split(" ");

/** Runs a program; throws with all it printed when it fails. */
async function succeed(program: string, args: readonly string[]): Promise<void> {
  const outcome = await run(program, args);
  if (outcome.status !== 0) throw new Error(`${program} failed:\n${outcome.stdout}${outcome.stderr}`);
}

/** Whether anybody listens at a socket. */
function isListening(socketPath: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(socketPath, () => done(socket.destroy().destroyed));
    socket.on("error", () => done(false));
  });
}

/** The path of a program of `PATH`. */
function find(program: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}
