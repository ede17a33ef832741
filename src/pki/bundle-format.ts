/** Trust bundles as text: PEM certificates, or SPIFFE JSON (Trust Domain and Bundle standard, section 4). */
import { AgentError } from "../lib/errors.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/id.ts";

/** The text formats of a bundle, named as SPIRE's `-format` flag names them. */
export type BundleFormat = "pem" | "spiffe";

/** Reads a bundle. Throws `MALFORMED`. */
export function parseBundle(_text: string, _format: BundleFormat, _trustDomain: TrustDomain): TrustBundle {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Writes a bundle, with a final newline. PEM holds the X.509 authorities only. */
export function formatBundle(_bundle: TrustBundle, _format: BundleFormat): string {
  throw new AgentError("INTERNAL", "not built yet");
}
