/** Which endorsement keys are admitted, as two folders tell: one of vendors' CA certificates, one named by hashes. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "../../lib/errors.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { readable } from "./readable.ts";
import { VendorCertificates, type VendorCertificatesDeps } from "./vendor-certificates.ts";

/** The folders; at least one. */
export interface EkFolders {
  readonly caPath: string | undefined;
  readonly hashPath: string | undefined;
}

/** Where the SPIFFE-hosted plugin looks when it is not told. */
export const DEFAULT_EK_FOLDERS: EkFolders = {
  caPath: "/opt/spire/.data/certs",
  hashPath: "/opt/spire/.data/hashes",
};

/** Both folders, as they are when a node attests. */
export class EkDirectory {
  readonly #hashPath: string | undefined;
  readonly #vendors: VendorCertificates | undefined;

  private constructor(hashPath: string | undefined, vendors: VendorCertificates | undefined) {
    this.#hashPath = hashPath;
    this.#vendors = vendors;
  }

  /**
   * Finds the folders: the configured ones, which must exist. Only where neither is configured are the plugin's used: a
   * folder that somebody left behind must not widen what an operator chose.
   * @throws AgentError `FAILED_PRECONDITION` when a configured one is missing, or there is none at all; `MALFORMED`
   *   when a file of vendors' certificates cannot be used.
   */
  static async open(
    folders: EkFolders,
    deps: VendorCertificatesDeps,
    defaults: EkFolders = DEFAULT_EK_FOLDERS,
  ): Promise<EkDirectory> {
    const isConfigured = folders.caPath !== undefined || folders.hashPath !== undefined;
    const caPath = isConfigured ? await must("ca_path", folders.caPath) : await existing(defaults.caPath);
    const hashPath = isConfigured ? await must("hash_path", folders.hashPath) : await existing(defaults.hashPath);
    if (caPath === undefined && hashPath === undefined) {
      throw new AgentError(
        "FAILED_PRECONDITION",
        'NodeAttestor "tpm": either ca_path, hash_path, or both are required',
      );
    }
    const vendors = caPath === undefined ? undefined : new VendorCertificates(caPath, deps);
    await vendors?.open();
    if (hashPath !== undefined) deps.log.info("Admitting listed endorsement keys", { path: hashPath });
    return new EkDirectory(hashPath, vendors);
  }

  /** Whether a file is named by that hash. Throws `UNAVAILABLE` when the folder cannot be read. */
  async lists(hash: string): Promise<boolean> {
    const path = this.#hashPath;
    return path !== undefined && (await statOf(join(path, hash))) !== undefined;
  }

  /** The vendors' certificates; `undefined` without such a folder. Throws `UNAVAILABLE` when it cannot be read. */
  async authorities(): Promise<readonly Certificate[] | undefined> {
    return await this.#vendors?.current();
  }
}

async function must(key: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const found = await statOf(path);
  if (found?.isDirectory()) return path;
  const problem = found === undefined ? "does not exist" : "is no folder";
  throw new AgentError("FAILED_PRECONDITION", `NodeAttestor "tpm": ${key} '${path}' ${problem}`);
}

async function existing(path: string | undefined): Promise<string | undefined> {
  return path !== undefined && (await statOf(path))?.isDirectory() ? path : undefined;
}

async function statOf(path: string) {
  return await readable(path, async () => {
    try {
      return await stat(path);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw error;
    }
  });
}
