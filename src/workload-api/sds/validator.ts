/** How the Envoy that asks will validate its peers' certificates. */
import type { Node } from "../../gen/envoy/config/core/v3/base.ts";

/** `spiffe`: Envoy's SPIFFE validator, which knows trust domains; `trusted_ca`: authorities alone. */
export type Validator = "spiffe" | "trusted_ca";

/** Key of the node's metadata; of the same name as the one of the configuration, over which it has precedence. */
const DISABLE = "disable_spiffe_cert_validation";
/** The last Envoy without the SPIFFE validator, `[major, minor]`. */
const LAST_WITHOUT = [1, 17] as const;

/** The validator for a node; one that tells nothing of itself is new enough. */
export function validatorFor(node: Node | undefined, disabledByConfig: boolean): Validator {
  const disabled = disabledByNode(node) ?? disabledByConfig;
  return !disabled && hasSpiffeValidator(node) ? "spiffe" : "trusted_ca";
}

function disabledByNode(node: Node | undefined): boolean | undefined {
  const { metadata } = node ?? {};
  if (metadata === undefined || !Object.hasOwn(metadata, DISABLE)) return undefined;
  const value: unknown = metadata[DISABLE];
  if (typeof value === "boolean") return value;
  return typeof value === "string" ? BOOLEANS.get(value) : undefined;
}

/** The texts that Go's `strconv.ParseBool` takes. */
const BOOLEANS = new Map([
  ...["1", "t", "T", "true", "TRUE", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "false", "FALSE", "False"].map((text) => [text, false] as const),
]);

function hasSpiffeValidator(node: Node | undefined): boolean {
  const version = node?.userAgentVersionType?.value.version;
  if (version === undefined) return true;
  const { majorNumber, minorNumber } = version;
  const [major, minor] = LAST_WITHOUT;
  return majorNumber > major || (majorNumber === major && minorNumber > minor);
}
