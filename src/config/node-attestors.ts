/** SPIRE's node attestors, by name: those that a program lacks are told from misspelt ones. */
import type { Plugin } from "./plugins.ts";

const SPIRE_NODE_ATTESTORS = [
  "aws_iid",
  "azure_imds",
  "azure_msi",
  "gcp_iit",
  "http_challenge",
  "join_token",
  "k8s_psat",
  "k8s_sat",
  "sshpop",
  "tpm_devid",
  "x509pop",
] as const;

/** Those that are not among the given ones. */
export function missingNodeAttestors(have: readonly Pick<Plugin<unknown>, "name">[]): readonly string[] {
  return SPIRE_NODE_ATTESTORS.filter((name) => !have.some((plugin) => plugin.name === name));
}
