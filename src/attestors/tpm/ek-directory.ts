/** Which endorsement keys are admitted, as two folders tell: one of vendors' CA certificates, one named by hashes. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "../../lib/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { SingleFlight } from "../../lib/single-flight.ts";
import { type Certificate, parseCertificate } from "../../pki/certificate.ts";
import { pemDecode } from "../../pki/pem.ts";

/** The folders; at least one. */
export interface EkFolders {
  readonly caPath: string | undefined;
  readonly hashPath: string | undefined;
}

/** Where the SPIFFE-hosted plugin looks when it is not told. */
export const DEFAULT_EK_FOLDERS = { caPath: "/opt/spire/.data/certs", hashPath: "/opt/spire/.data/hashes" } as const;

const MAX_FILES = 1_000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const BEGIN = "-----BEGIN ";

/** Certificates of one file, for as long as it does not change. */
interface ReadFile {
  readonly version: string;
  readonly certificates: readonly Certificate[];
}

/** What the directory needs. */
export interface EkDirectoryDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** A folder of vendors' certificates is looked at no more often, however many nodes attest. */
const LOOK_MS = 1_000;

/** Follows the folders: what changes in them counts within a second. A file is parsed again only when it changed. */
export class EkDirectory {
  readonly #folders: EkFolders;
  readonly #deps: EkDirectoryDeps;
  readonly #looks = new SingleFlight<string, readonly Certificate[]>();
  #files: ReadonlyMap<string, ReadFile> = new Map();
  #last: { readonly at: number; readonly authorities: readonly Certificate[] } | undefined;

  private constructor(folders: EkFolders, deps: EkDirectoryDeps) {
    this.#folders = folders;
    this.#deps = deps;
  }

  /**
   * Finds the folders: the configured ones, which must exist, or those of the plugin's that do.
   * @throws AgentError `FAILED_PRECONDITION` when a configured one is missing, or there is none at all; `MALFORMED`
   *   when a file of vendors' certificates cannot be read.
   */
  static async open(folders: EkFolders, deps: EkDirectoryDeps): Promise<EkDirectory> {
    const found = {
      caPath: await existing("ca_path", folders.caPath, DEFAULT_EK_FOLDERS.caPath),
      hashPath: await existing("hash_path", folders.hashPath, DEFAULT_EK_FOLDERS.hashPath),
    };
    if (found.caPath === undefined && found.hashPath === undefined) {
      throw new AgentError(
        "FAILED_PRECONDITION",
        'NodeAttestor "tpm": either ca_path, hash_path, or both are required',
      );
    }
    const directory = new EkDirectory(found, deps);
    await directory.authorities();
    return directory;
  }

  /** Whether a file is named by that hash. Throws `UNAVAILABLE` when the folder cannot be read. */
  async lists(hash: string): Promise<boolean> {
    const { hashPath } = this.#folders;
    return hashPath !== undefined && (await statOf(join(hashPath, hash))) !== undefined;
  }

  /** The vendors' certificates; `undefined` without such a folder. Throws `UNAVAILABLE` when it cannot be read, `MALFORMED` for a file that is no certificate. */
  async authorities(): Promise<readonly Certificate[] | undefined> {
    const { caPath } = this.#folders;
    if (caPath === undefined) return undefined;
    const now = this.#deps.clock.monotonic();
    if (this.#last !== undefined && now - this.#last.at < LOOK_MS) return this.#last.authorities;
    const authorities = await this.#looks.do(caPath, () => this.#look(caPath));
    this.#last = { at: now, authorities };
    return authorities;
  }

  async #look(caPath: string): Promise<readonly Certificate[]> {
    const names = await attempt(caPath, () => readdir(caPath));
    if (names.length > MAX_FILES) throw new AgentError("MALFORMED", `${caPath} has more than ${MAX_FILES} files`);
    const files = new Map<string, ReadFile>();
    for (const name of names.sort()) {
      const path = join(caPath, name);
      const found = await statOf(path);
      if (found === undefined || !found.isFile()) continue;
      const version = `${found.ino}:${found.size}:${found.mtimeMs}`;
      const known = this.#files.get(path);
      files.set(
        path,
        known?.version === version ? known : { version, certificates: await this.#read(path, found.size) },
      );
    }
    this.#files = files;
    return [...files.values()].flatMap(({ certificates }) => certificates);
  }

  /** PEM with any number of certificates, or one in DER. */
  async #read(path: string, size: number): Promise<readonly Certificate[]> {
    if (size > MAX_FILE_BYTES) throw new AgentError("MALFORMED", `${path} is longer than ${MAX_FILE_BYTES} bytes`);
    const bytes = await attempt(path, () => readFile(path));
    const ders = bytes.includes(BEGIN) ? pemOf(path, bytes.toString("latin1")) : [bytes];
    const certificates = ders.flatMap((der, index) => this.#parse(path, der, index, ders.length));
    this.#deps.log.debug("Read vendors' certificates", { path, count: certificates.length });
    return certificates;
  }

  /** Vendors' bundles hold roots that do not follow the standard: in a bundle, one is left out, not all. */
  #parse(path: string, der: Uint8Array, index: number, count: number): readonly Certificate[] {
    try {
      return [parseCertificate(der)];
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (count === 1) throw new AgentError("MALFORMED", `${path} is no CA certificate`, { cause: error });
      this.#deps.log.warn("A vendor's certificate is not readable and left out", {
        path,
        number: index + 1,
        error: error.message,
      });
      return [];
    }
  }
}

function pemOf(path: string, text: string): readonly Uint8Array[] {
  try {
    const ders = pemDecode(text, "CERTIFICATE");
    if (ders.length > 0) return ders;
  } catch (error) {
    throw new AgentError("MALFORMED", `${path} cannot be read as PEM`, { cause: error });
  }
  throw new AgentError("MALFORMED", `${path} holds no certificate`);
}

async function existing(key: string, configured: string | undefined, fallback: string): Promise<string | undefined> {
  const path = configured ?? fallback;
  const found = await statOf(path);
  if (found?.isDirectory()) return path;
  if (configured === undefined) return undefined;
  const problem = found === undefined ? "does not exist" : "is no folder";
  throw new AgentError("FAILED_PRECONDITION", `NodeAttestor "tpm": ${key} '${path}' ${problem}`);
}

async function statOf(path: string) {
  return await attempt(path, async () => {
    try {
      return await stat(path);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw error;
    }
  });
}

/** A folder that cannot be read admits nobody. */
async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new AgentError("UNAVAILABLE", `cannot read ${path}`, { cause: error });
  }
}
