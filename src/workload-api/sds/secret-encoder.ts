/** Encodes secrets as Envoy reads them, once for all callers that get the same. */
import { createHash } from "node:crypto";
import type { CertificateValidationContext } from "../../gen/envoy/extensions/transport_sockets/tls/v3/common.ts";
import { Secret as SecretMessage } from "../../gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { SPIFFECertValidatorConfig } from "../../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts";
import { DiscoveryResponse } from "../../gen/envoy/service/discovery/v3/discovery.ts";
import type { Any } from "../../gen/google/protobuf/any.ts";
import { publicError } from "../../lib/errors.ts";
import { pemEncode } from "../../lib/pem-encode.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import type { Der, X509Svid } from "../../spiffe/svid.ts";
import type { WorkloadUpdate } from "../ports.ts";
import { SECRET_TYPE } from "./requests.ts";
import { indexSecrets, type SdsNames, type Secret, type SecretIndex, selectSecrets } from "./secrets.ts";
import type { Validator } from "./validator.ts";

const SPIFFE_VALIDATOR = "envoy.tls.cert_validator.spiffe";
const SPIFFE_VALIDATOR_CONFIG =
  "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
/** Hexadecimal digits of a secret's version. */
const VERSION_DIGITS = 16;
/** Sets of names that are remembered for one update; callers choose the names. */
const MAX_SETS = 64;

/** One secret, ready to be sent. */
export interface EncodedSecret {
  /** Changes with the content, and is made of its public part alone. */
  readonly version: string;
  readonly resource: Any;
}

/** All secrets of a set of names, ready to be sent. */
export interface EncodedSet {
  /** The field `resources` of a `DiscoveryResponse`. */
  readonly resources: Buffer;
  /** Names that stand for nothing that the caller may have, sorted. */
  readonly unknown: readonly string[];
}

/** Keeps what it encoded as long as the SVID, bundle or update that it came from lives. */
export class SecretEncoder {
  readonly #names: SdsNames;
  readonly #bySource = new WeakMap<X509Svid | TrustBundle | WorkloadUpdate, Map<string, EncodedSecret>>();
  readonly #sets = new WeakMap<WorkloadUpdate, Map<string, EncodedSet>>();
  readonly #indexes = new WeakMap<WorkloadUpdate, SecretIndex>();

  constructor(names: SdsNames) {
    this.#names = names;
  }

  /** All that there is for a caller. */
  index(update: WorkloadUpdate): SecretIndex {
    return entry(this.#indexes, update, () => indexSecrets(update, this.#names));
  }

  /** Throws `INTERNAL` for all bundles in one without the SPIFFE validator. */
  set(update: WorkloadUpdate, names: ReadonlySet<string>, validator: Validator): EncodedSet {
    const sets = entry(this.#sets, update, () => new Map<string, EncodedSet>());
    const key = [validator, ...[...names].sort().flatMap((name) => [name.length, name])].join(" ");
    const known = sets.get(key);
    if (known !== undefined) return known;
    const { secrets, unknown } = selectSecrets(this.index(update), names);
    const resources = secrets.map((secret) => this.secret(secret, validator).resource);
    const message = { versionInfo: "", resources, typeUrl: "", nonce: "" };
    const set = { resources: Buffer.from(DiscoveryResponse.encode(message).finish()), unknown };
    if (sets.size < MAX_SETS && unknown.length === 0) sets.set(key, set);
    return set;
  }

  /** Throws `INTERNAL` for all bundles in one without the SPIFFE validator. */
  secret(secret: Secret, validator: Validator): EncodedSecret {
    const source = sourceOf(secret);
    const known = entry(this.#bySource, source, () => new Map<string, EncodedSecret>());
    return entry(known, `${validator} ${secret.name}`, () => encode(secret, validator));
  }
}

function sourceOf(secret: Secret): X509Svid | TrustBundle | WorkloadUpdate {
  if (secret.kind === "svid") return secret.svid;
  return secret.kind === "bundle" ? secret.bundle : secret.of;
}

function encode(secret: Secret, validator: Validator): EncodedSecret {
  const { name } = secret;
  if (secret.kind === "svid") {
    const { chain, privateKey } = secret.svid;
    const certificates = pem(chain);
    const key = Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" }));
    const value = { certificateChain: inline(certificates), privateKey: inline(key) };
    return encoded({ name, type: { $case: "tlsCertificate", value } }, [certificates]);
  }
  const bundles = secret.kind === "bundle" ? [secret.bundle] : secret.bundles;
  const named = bundles.map(({ trustDomain, x509Authorities }) => ({
    name: trustDomain,
    authorities: pem(x509Authorities.map(({ certificate }) => certificate)),
  }));
  const message = {
    name,
    type: { $case: "validationContext", value: contextOf(secret.kind, named, validator) },
  } as const;
  return encoded(message, [validator, ...named.flatMap((bundle) => [bundle.name, bundle.authorities])]);
}

interface NamedAuthorities {
  readonly name: string;
  /** PEM. */
  readonly authorities: Buffer;
}

function contextOf(
  kind: "bundle" | "bundles",
  named: readonly NamedAuthorities[],
  validator: Validator,
): CertificateValidationContext {
  if (validator === "spiffe") {
    const trustDomains = named.map(({ name, authorities }) => ({ name, trustBundle: inline(authorities) }));
    const value = Buffer.from(SPIFFECertValidatorConfig.encode({ trustDomains }).finish());
    const typedConfig = { typeUrl: SPIFFE_VALIDATOR_CONFIG, value };
    return { trustedCa: undefined, customValidatorConfig: { name: SPIFFE_VALIDATOR, typedConfig } };
  }
  const [only] = named;
  // Authorities of several trust domains in one list would let each vouch for members of the others.
  if (kind === "bundles" || only === undefined) {
    throw publicError("INTERNAL", 'unable to use "SPIFFE validator" on Envoy below 1.17');
  }
  return { trustedCa: inline(only.authorities), customValidatorConfig: undefined };
}

function encoded(message: SecretMessage, versioned: readonly (string | Buffer)[]): EncodedSecret {
  const hash = createHash("sha256");
  for (const part of versioned) hash.update(`${part.length} `).update(part);
  return {
    version: hash.digest("hex").slice(0, VERSION_DIGITS),
    resource: { typeUrl: SECRET_TYPE, value: Buffer.from(SecretMessage.encode(message).finish()) },
  };
}

function pem(certificates: readonly Der[]): Buffer {
  return Buffer.from(certificates.map((certificate) => pemEncode("CERTIFICATE", certificate)).join(""));
}

function inline(value: Buffer) {
  return { specifier: { $case: "inlineBytes", value } } as const;
}

/** What a map or weak map has under a key, made when it has nothing. */
function entry<K, V>(map: { get(key: K): V | undefined; set(key: K, value: V): unknown }, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
