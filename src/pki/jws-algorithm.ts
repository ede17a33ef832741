/** Which algorithms of JWS a public key may be used with: the nine of JWT-SVID 2.1, each bound to its kind of key. */
import { AgentError } from "../lib/errors.ts";
import { type Curve, readSpki } from "./spki.ts";

const RSA: readonly string[] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const OF_CURVE: Readonly<Record<Curve, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };

/** Throws `INVALID_ARGUMENT` unless the algorithm is for the key, and as `readSpki` does for keys that are not accepted. */
export function checkJwsAlgorithm(algorithm: string, spki: Uint8Array): void {
  const key = readSpki(spki);
  const fits = key.kind === "rsa" ? RSA.includes(algorithm) : OF_CURVE[key.curve] === algorithm;
  if (fits) return;
  const kind = key.kind === "rsa" ? "RSA" : `ec-${key.curve.replace("-", "").toLowerCase()}`;
  throw new AgentError("INVALID_ARGUMENT", `unsupported signing algorithm for ${kind} key: ${algorithm.slice(0, 32)}`);
}
