/** The CA certificates of TPM vendors, as a folder holds them: strict at the start, forgiving when a file goes bad later. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { AgentError, errorCode, errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { SingleFlight } from "../../lib/single-flight.ts";
import { type Certificate, parseCertificate } from "../../pki/certificate.ts";
import { pemDecode } from "../../pki/pem.ts";
import { readable } from "./readable.ts";

/** What it needs. */
export interface VendorCertificatesDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

const MAX_FILES = 1_000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** A folder is looked at no more often, however many nodes attest. */
const LOOK_MS = 1_000;
const BEGIN = "-----BEGIN ";

/** What was last read of one file. */
interface ReadFile {
  /** Tells whether it changed. */
  readonly version: string;
  readonly certificates: readonly Certificate[];
}

/** Follows the folder: what changes in it counts within a second. Files whose names begin with a dot are no part of it. */
export class VendorCertificates {
  readonly #folder: string;
  readonly #deps: VendorCertificatesDeps;
  readonly #looks = new SingleFlight<string, readonly Certificate[]>();
  #files: ReadonlyMap<string, ReadFile> = new Map();
  #last: { readonly at: number; readonly certificates: readonly Certificate[] } | undefined;

  constructor(folder: string, deps: VendorCertificatesDeps) {
    this.#folder = folder;
    this.#deps = deps;
  }

  /** The first look. Throws `MALFORMED` for a file that holds no certificate, `UNAVAILABLE` when the folder cannot be read. */
  async open(): Promise<void> {
    const certificates = await this.#look("strict");
    this.#last = { at: this.#deps.clock.monotonic(), certificates };
    this.#deps.log.info("Trusting TPM vendors' certificates", {
      path: this.#folder,
      files: this.#files.size,
      certificates: certificates.length,
    });
  }

  /**
   * All of them, as of the last second. A file that can no longer be used counts as it last was, or not at all, and the
   * log says so once. Throws `UNAVAILABLE` when the folder cannot be read.
   */
  async current(): Promise<readonly Certificate[]> {
    const now = this.#deps.clock.monotonic();
    if (this.#last !== undefined && now - this.#last.at < LOOK_MS) return this.#last.certificates;
    const certificates = await this.#looks.do(this.#folder, () => this.#look("forgiving"));
    this.#last = { at: now, certificates };
    return certificates;
  }

  async #look(mode: "strict" | "forgiving"): Promise<readonly Certificate[]> {
    const all = await readable(this.#folder, () => readdir(this.#folder));
    const names = all.filter((name) => !name.startsWith(".")).sort();
    if (names.length > MAX_FILES) {
      const code = mode === "strict" ? "MALFORMED" : "UNAVAILABLE";
      throw new AgentError(code, `${this.#folder} has more than ${MAX_FILES} files`);
    }
    const files = new Map<string, ReadFile>();
    for (const name of names) {
      const path = join(this.#folder, name);
      const file = await this.#file(path, mode);
      if (file !== undefined) files.set(path, file);
    }
    this.#files = files;
    return [...files.values()].flatMap(({ certificates }) => certificates);
  }

  async #file(path: string, mode: "strict" | "forgiving"): Promise<ReadFile | undefined> {
    const known = this.#files.get(path);
    let version = "unknown";
    try {
      const found = await readable(path, () => stat(path, { bigint: true }));
      if (!found.isFile()) return undefined;
      version = `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
      if (known?.version === version) return known;
      return { version, certificates: await this.#read(path, found.size) };
    } catch (error) {
      if (mode === "strict") throw error;
      if (known?.version === version) return known;
      // A read that failed is tried again; content that is wrong stays so until the file changes.
      const kept = errorCode(error) === "MALFORMED" ? version : "unread";
      if (known?.version !== kept) {
        this.#deps.log.error("A file of vendors' certificates cannot be used; what it held before stays trusted", {
          path,
          certificates: known?.certificates.length ?? 0,
          error: errorText(error),
        });
      }
      return { version: kept, certificates: known?.certificates ?? [] };
    }
  }

  /** PEM with any number of certificates, or one in DER. */
  async #read(path: string, size: bigint): Promise<readonly Certificate[]> {
    if (size > MAX_FILE_BYTES) throw new AgentError("MALFORMED", `${path} is longer than ${MAX_FILE_BYTES} bytes`);
    const bytes = await readable(path, () => readFile(path));
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
