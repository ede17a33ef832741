/** The content of `agent-data.json`, version 1: strict both ways, with a checksum over everything that matters. */
import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { AgentError } from "../lib/errors.ts";
import { decodeBase64 } from "../pki/base64.ts";
import { parseCertificate, spiffeIdOf } from "../pki/certificate.ts";
import { pkcs8Of, publicKeyFromSpki, spkiOf } from "../pki/keys.ts";
import type { KeyAuthority, TrustBundle } from "../spiffe/bundle.ts";
import { isAgentId, type TrustDomain, trustDomainOf } from "../spiffe/id.ts";
import type { Der, X509Svid } from "../spiffe/svid.ts";
import type { AgentIdentity } from "./agent-identity.ts";

/** What the agent keeps across restarts. */
export interface AgentData {
  readonly identity?: AgentIdentity;
  /** The bundle of the agent's own trust domain. */
  readonly bundle?: TrustBundle;
  /** The latest wall time, in milliseconds since the Unix epoch, at which things were in order (`good-time.ts`); 0 for never. */
  readonly lastGoodTime: number;
}

/** Why stored data cannot be used. */
export type Unusable = { readonly why: "damaged" | "foreign" | "newer-version"; readonly reason: string };

const VERSION = 1;

const base64 = z.string().max(131_072);
const keyShape = z.strictObject({
  key_id: z.string().min(1),
  public_key: base64,
  expires_at: z.int(),
  tainted: z.boolean(),
});
const dataShape = z.strictObject({
  trust_domain: z.string(),
  last_good_time: z.int().min(0),
  svid: z.nullable(
    z.strictObject({ chain: z.array(base64).min(1).max(10), private_key: base64, reattestable: z.boolean() }),
  ),
  bundle: z.nullable(
    z.strictObject({
      x509_authorities: z.array(z.strictObject({ certificate: base64, tainted: z.boolean() })).min(1),
      jwt_authorities: z.array(keyShape),
      wit_authorities: z.array(keyShape),
      refresh_hint: z.int().min(0),
      sequence: z.string().regex(/^\d{1,20}$/),
    }),
  ),
});
const fileShape = z.strictObject({ version: z.literal(VERSION), sha256: z.string(), data: z.unknown() });
type Data = z.infer<typeof dataShape>;

/** The file's text. Without `keepKey` neither the SVID nor its key is in it. */
export function encodeAgentData(data: AgentData, trustDomain: TrustDomain, keepKey: boolean): string {
  const { identity, bundle } = data;
  const content: Data = {
    trust_domain: trustDomain,
    last_good_time: Math.floor(data.lastGoodTime),
    svid:
      identity === undefined || !keepKey
        ? null
        : {
            chain: identity.svid.chain.map(toBase64),
            private_key: toBase64(pkcs8Of(identity.svid.privateKey)),
            reattestable: identity.reattestable,
          },
    bundle:
      bundle === undefined
        ? null
        : {
            x509_authorities: bundle.x509Authorities.map(({ certificate, tainted }) => ({
              certificate: toBase64(certificate),
              tainted,
            })),
            jwt_authorities: bundle.jwtAuthorities.map(encodeKey),
            wit_authorities: bundle.witAuthorities.map(encodeKey),
            refresh_hint: bundle.refreshHint,
            sequence: bundle.sequence.toString(),
          },
  };
  return `${JSON.stringify({ version: VERSION, sha256: checksum(content), data: content })}\n`;
}

/** Reads the file's text. Never throws for its content. */
export function decodeAgentData(text: string, trustDomain: TrustDomain): AgentData | Unusable {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { why: "damaged", reason: "it is not JSON" };
  }
  if (typeof json !== "object" || json === null || !("version" in json) || typeof json.version !== "number") {
    return { why: "foreign", reason: "it was not written by this program" };
  }
  if (json.version > VERSION)
    return { why: "newer-version", reason: `it has version ${json.version}, we know ${VERSION}` };
  const file = fileShape.safeParse(json);
  if (!file.success) return { why: "damaged", reason: "its outer form is wrong" };
  if (checksum(file.data.data) !== file.data.sha256) return { why: "damaged", reason: "its checksum is wrong" };
  const content = dataShape.safeParse(file.data.data);
  if (!content.success) return { why: "damaged", reason: "its content has the wrong form" };
  if (content.data.trust_domain !== trustDomain) {
    return { why: "foreign", reason: `it belongs to the trust domain ${content.data.trust_domain.slice(0, 255)}` };
  }
  try {
    return decodeData(content.data, trustDomain);
  } catch (error) {
    return { why: "damaged", reason: error instanceof Error ? error.message : "its content cannot be read" };
  }
}

function decodeData(data: Data, trustDomain: TrustDomain): AgentData {
  return {
    lastGoodTime: data.last_good_time,
    ...(data.svid === null
      ? {}
      : { identity: { svid: decodeSvid(data.svid, trustDomain), reattestable: data.svid.reattestable } }),
    ...(data.bundle === null
      ? {}
      : {
          bundle: {
            trustDomain,
            x509Authorities: data.bundle.x509_authorities.map(({ certificate, tainted }) => ({
              certificate: parseCertificate(fromBase64(certificate)).der,
              tainted,
            })),
            jwtAuthorities: data.bundle.jwt_authorities.map(decodeKey),
            witAuthorities: data.bundle.wit_authorities.map(decodeKey),
            refreshHint: data.bundle.refresh_hint,
            sequence: BigInt(data.bundle.sequence),
          },
        }),
  };
}

function decodeSvid(svid: NonNullable<Data["svid"]>, trustDomain: TrustDomain): X509Svid {
  const chain = svid.chain.map((text) => fromBase64(text) as Der);
  const leaf = parseCertificate(chain[0] ?? new Uint8Array());
  const spiffeId = spiffeIdOf(leaf);
  if (trustDomainOf(spiffeId) !== trustDomain || !isAgentId(spiffeId)) throw damaged("its SVID names no agent");
  const privateKey = decodePrivateKey(svid.private_key);
  if (Buffer.compare(spkiOf(privateKey), leaf.spki) !== 0) throw damaged("its key does not belong to its SVID");
  return { spiffeId, chain, privateKey, notBefore: leaf.notBefore, notAfter: leaf.notAfter };
}

function decodePrivateKey(text: string): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(fromBase64(text)), format: "der", type: "pkcs8" });
  } catch (error) {
    throw new AgentError("MALFORMED", "its key cannot be read", { cause: error });
  }
}

function encodeKey(key: KeyAuthority): z.infer<typeof keyShape> {
  return { key_id: key.keyId, public_key: toBase64(key.publicKey), expires_at: key.expiresAt, tainted: key.tainted };
}

function decodeKey(key: z.infer<typeof keyShape>): KeyAuthority {
  const publicKey = fromBase64(key.public_key);
  publicKeyFromSpki(publicKey);
  return { keyId: key.key_id, publicKey, expiresAt: key.expires_at, tainted: key.tainted };
}

/** JSON keeps the order of members, so parsing and writing again gives the same text. */
function checksum(data: unknown): string {
  return createHash("sha256").update(JSON.stringify(data)).digest("hex");
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function fromBase64(text: string): Uint8Array {
  const bytes = decodeBase64(text, "base64");
  if (bytes === undefined) throw damaged("it holds broken base64");
  return bytes;
}

function damaged(message: string): AgentError {
  return new AgentError("MALFORMED", message);
}
