/** A server that admits nodes by their TPM, and an agent with a software TPM. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { admin, makeSite, PROGRAMS, type Site, type SiteOptions } from "./programs.ts";
import type { Swtpm } from "./swtpm.ts";

/** What a site's configuration may say of TPMs; texts are HCL, put into `plugin_data`. */
export interface TpmSiteOptions extends SiteOptions {
  /** More keys of the server's plugin. */
  readonly serverPlugin?: string;
  /** More keys of the agent's plugin. */
  readonly agentPlugin?: string;
  /** What stands beside `plugin_data` in the server's block, such as `plugin_cmd` for a stock server. */
  readonly serverPluginProgram?: string;
}

/** A site whose server knows the vendor of `tpm`, and whose agent uses it. */
export interface TpmSite extends Site {
  /** Folder of vendors' certificates. */
  readonly caPath: string;
  /** Folder of endorsement keys' hashes. */
  readonly hashPath: string;
}

/** Makes the folders and files; nothing is started. */
export async function makeTpmSite(
  folder: string,
  tpm: Pick<Swtpm, "roots" | "tcti">,
  options: TpmSiteOptions = {},
): Promise<TpmSite> {
  const [caPath, hashPath] = [join(folder, "vendors"), join(folder, "hashes")];
  for (const path of [caPath, hashPath]) mkdirSync(path, { recursive: true });
  for (const [index, root] of tpm.roots.entries()) copyFileSync(root, join(caPath, `${index}.pem`));
  const { serverPluginProgram = "", serverPlugin = "", agentPlugin = "" } = options;
  const site = await makeSite(folder, {
    ...options,
    serverAttestor: `NodeAttestor "tpm" {
    ${serverPluginProgram}
    plugin_data {
      ca_path = "${caPath}"
      hash_path = "${hashPath}"
      ${serverPlugin}
    }
  }`,
    agentAttestor: `NodeAttestor "tpm" {
    plugin_data {
      tcti = "${tpm.tcti}"
      ${agentPlugin}
    }
  }`,
  });
  return { ...site, caPath, hashPath };
}

/** Gives the agent the bundle to trust the server by; there is no secret to hand over. */
export async function shareBundle(site: Site, program: string = PROGRAMS.server): Promise<void> {
  writeFileSync(site.bundle, await admin(site, ["bundle", "show"], program));
}
