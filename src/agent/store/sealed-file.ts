/**
 * The form of a sealed file: one line that says what it is, then AES-256-GCM over the content with that line as
 * associated data (NIST SP 800-38D), so that a file of another role, trust domain or version is not taken for it.
 *
 *     holdfast-store version=1 role=workloads trust-domain=example.org key=0123456789abcdef\n
 *     nonce (12 bytes), ciphertext, tag (16 bytes)
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Random } from "../../lib/random.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { Unusable } from "../agent-data.ts";

/** What a file holds; a role's files are told from each other's by their first line. */
export interface FileRole {
  readonly role: "agent" | "workloads";
  readonly trustDomain: TrustDomain;
}

/** Bytes of a storage key. */
export const KEY_BYTES = 32;

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LONGEST_HEADER = 512;
const CIPHER = "aes-256-gcm";

/** Seals what `pieces` make together, under a fresh nonce; others get a turn whenever a piece is awaited. */
export async function sealFile(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  key: Uint8Array,
  role: FileRole,
  random: Random,
): Promise<Buffer> {
  const header = headerOf(role, VERSION, key);
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(header);
  const sealed: Uint8Array[] = [header, nonce];
  for await (const piece of pieces) {
    sealed.push(cipher.update(piece));
    // Keys were in it, and it is ours.
    piece.fill(0);
  }
  sealed.push(cipher.final(), cipher.getAuthTag());
  return Buffer.concat(sealed);
}

/** Opens a file. Never throws for its content: says why it cannot be used. */
export function openSealed(file: Uint8Array, key: Uint8Array, role: FileRole): Buffer | Unusable {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const end = bytes.subarray(0, LONGEST_HEADER).indexOf("\n") + 1;
  const stated = HEADER.exec(bytes.toString("latin1", 0, end));
  if (stated?.groups === undefined) return { why: "foreign", reason: "it was not written by this program" };
  const version = Number(stated.groups.version);
  if (version > VERSION) return { why: "newer-version", reason: `it has version ${version}, we know ${VERSION}` };
  const expected = headerOf(role, VERSION, key);
  if (!bytes.subarray(0, end).equals(expected)) return { why: "foreign", reason: otherThan(stated.groups, role) };
  if (bytes.length < end + NONCE_BYTES + TAG_BYTES) return { why: "damaged", reason: "it is cut short" };
  const nonce = bytes.subarray(end, end + NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(expected);
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const content = decipher.update(bytes.subarray(end + NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
  } catch {
    content.fill(0);
    return { why: "damaged", reason: "its seal is broken" };
  }
  return content;
}

const HEADER =
  /^holdfast-store version=(?<version>[1-9]\d{0,4}) role=(?<role>[a-z-]{1,32}) trust-domain=(?<trustDomain>[a-z0-9._-]{1,255}) key=(?<key>[0-9a-f]{16})\n$/;

function headerOf({ role, trustDomain }: FileRole, version: number, key: Uint8Array): Buffer {
  return Buffer.from(
    `holdfast-store version=${version} role=${role} trust-domain=${trustDomain} key=${keyName(key)}\n`,
    "latin1",
  );
}

/** Tells keys apart and says nothing of them (RFC 5869). */
function keyName(key: Uint8Array): string {
  return Buffer.from(hkdfSync("sha256", key, "", "holdfast-store key name", 8)).toString("hex");
}

function otherThan(stated: Readonly<Record<string, string>>, { role, trustDomain }: FileRole): string {
  if (stated.trustDomain !== trustDomain) return `it belongs to the trust domain ${stated.trustDomain}`;
  if (stated.role !== role) return `it is a file of ${stated.role}, not of ${role}`;
  if (stated.version !== String(VERSION)) return `it has version ${stated.version}, we know ${VERSION}`;
  return "it was sealed with another key";
}
