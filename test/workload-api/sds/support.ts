/** What tests of secret discovery share: reading answers, and conversations without a socket. */
import { Secret } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { SPIFFECertValidatorConfig } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts";
import type { Any } from "../../../src/gen/google/protobuf/any.ts";
import type { ConversationDeps, SdsOptions } from "../../../src/workload-api/sds/conversation.ts";
import { SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { SecretEncoder } from "../../../src/workload-api/sds/secret-encoder.ts";

export const NAMES = { defaultSvidName: "default", defaultBundleName: "ROOTCA", defaultAllBundlesName: "ALL" };
export const SDS: SdsOptions = { ...NAMES, disableSpiffeCertValidation: false };

/** Nonces count. */
export function conversationDeps(options: Partial<SdsOptions> = {}): ConversationDeps {
  let nonces = 0;
  const all = { ...SDS, ...options };
  return { options: all, encoder: new SecretEncoder(all), nonce: () => String(++nonces).padStart(8, "0") };
}

/** A secret in words: `name: chain, key`, `name: trusted_ca …` or `name: spiffe td=…`. PEM is shown as what it wraps. */
export function read(resource: Any | undefined): string {
  if (resource?.typeUrl !== SECRET_TYPE) return `type ${resource?.typeUrl}`;
  const { name, type } = Secret.decode(resource.value);
  if (type?.$case === "tlsCertificate") {
    const { certificateChain, privateKey } = type.value;
    const key = Buffer.from(inline(privateKey)).toString();
    return `${name}: ${unpem(inline(certificateChain))}, ${key.startsWith("-----BEGIN PRIVATE KEY-----\n") ? "key" : key}`;
  }
  if (type?.$case !== "validationContext") return `${name}: nothing`;
  const { trustedCa, customValidatorConfig } = type.value;
  if (customValidatorConfig === undefined) return `${name}: trusted_ca ${unpem(inline(trustedCa))}`;
  if (trustedCa !== undefined || customValidatorConfig.name !== "envoy.tls.cert_validator.spiffe") return "both";
  const { typeUrl, value } = customValidatorConfig.typedConfig ?? { typeUrl: "", value: Buffer.alloc(0) };
  if (typeUrl !== "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig")
    return typeUrl;
  const { trustDomains } = SPIFFECertValidatorConfig.decode(value);
  const told = trustDomains.map((domain) => `${domain.name}=${unpem(inline(domain.trustBundle))}`);
  return `${name}: spiffe ${told.join(" ")}`;
}

function inline(source: { readonly specifier: unknown } | undefined): Uint8Array {
  const specifier = source?.specifier as { readonly $case: string; readonly value: Uint8Array } | undefined;
  return specifier?.$case === "inlineBytes" ? specifier.value : Buffer.from("not inline");
}

function unpem(bytes: Uint8Array): string {
  const blocks = Buffer.from(bytes)
    .toString()
    .matchAll(/-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE-----\n/g);
  return [...blocks].map(([, base64]) => Buffer.from(base64 ?? "", "base64").toString()).join("|");
}
