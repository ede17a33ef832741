/** Makes the server's `tpm` attestor. */
import type { ServerNodeAttestor } from "../../attestors/node.ts";
import type { TpmServerConfig } from "../../attestors/tpm/config.ts";
import { EkDirectory } from "../../attestors/tpm/ek-directory.ts";
import { TpmServerAttestor } from "../../attestors/tpm/server.ts";
import type { NodeAttestorDeps } from "./node-attestor-deps.ts";

/** Throws `FAILED_PRECONDITION` or `MALFORMED` where the folders of vendors and hashes cannot be used. */
export async function makeTpmAttestor(options: TpmServerConfig, deps: NodeAttestorDeps): Promise<ServerNodeAttestor> {
  const log = deps.log.named("tpm");
  return new TpmServerAttestor({ ...deps, log, directory: await EkDirectory.open(options, { ...deps, log }) }, options);
}
