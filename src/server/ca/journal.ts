/**
 * What the server remembers of its authorities between runs. The record is a line with format, version and SHA-256,
 * and the JSON that the hash covers. Version 1 knew X.509 authorities only, and is still read.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { AgentError } from "../../lib/errors.ts";
import type { Der } from "../../spiffe/svid.ts";
import type { AuthorityLife, SlotId } from "./slots.ts";

/** An authority's place in its life. An old one signs no more; what it signed is valid. */
export type AuthorityStatus = "prepared" | "active" | "old";

/** One authority that this server made. */
export interface JournalEntry extends AuthorityLife {
  readonly slot: SlotId;
  /** X.509: the certificate's subject key identifier, lower-case hex. Others: the key ID. */
  readonly authorityId: string;
  readonly status: AuthorityStatus;
}

/** One X.509 authority. */
export interface X509JournalEntry extends JournalEntry {
  readonly certificate: Der;
}

/** One key that signs tokens. */
export interface KeyJournalEntry extends JournalEntry {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** Oldest first. */
export interface Journal {
  readonly x509: readonly X509JournalEntry[];
  readonly jwt: readonly KeyJournalEntry[];
  readonly wit: readonly KeyJournalEntry[];
}

/** The journal of a server that never ran. */
export const EMPTY_JOURNAL: Journal = { x509: [], jwt: [], wit: [] };

/** Entries kept per kind; the oldest of those that sign no more go first. */
export const MAX_JOURNAL_ENTRIES = 10;

const FORMAT = "holdfast-ca-journal";
const VERSION = 2;

const life = {
  slot: z.enum(["A", "B"]),
  status: z.enum(["prepared", "active", "old"]),
  issuedAt: z.int(),
  notAfter: z.int(),
};
const x509 = z
  .array(
    z.strictObject({
      ...life,
      authorityId: z.string().regex(/^[0-9a-f]+$/),
      certificate: z.base64(),
    }),
  )
  .max(MAX_JOURNAL_ENTRIES);
const keys = z
  .array(
    z.strictObject({
      ...life,
      authorityId: z.string().regex(/^[0-9A-Za-z]+$/),
      publicKey: z.base64(),
    }),
  )
  .max(MAX_JOURNAL_ENTRIES);
const schema = z.strictObject({ x509, jwt: keys, wit: keys });
type Stored = z.infer<typeof schema>;

/** What each version wrote, as the newest would have. */
const READERS: Readonly<Record<string, (body: unknown) => Stored>> = {
  1: (body) => ({ ...z.strictObject({ x509 }).parse(body), jwt: [], wit: [] }),
  2: (body) => schema.parse(body),
};

/** The journal without its oldest entries if it has more than are kept. */
export function trimJournal(journal: Journal): Journal {
  return { x509: kept(journal.x509), jwt: kept(journal.jwt), wit: kept(journal.wit) };
}

/** Writes a journal, as `trimJournal` leaves it. */
export function encodeJournal(journal: Journal): Uint8Array {
  const trimmed = trimJournal(journal);
  const body: Stored = {
    x509: trimmed.x509.map((entry) => ({ ...common(entry), certificate: toBase64(entry.certificate) })),
    jwt: trimmed.jwt.map(encodeKey),
    wit: trimmed.wit.map(encodeKey),
  };
  const text = JSON.stringify(body);
  return new TextEncoder().encode(`${FORMAT} ${VERSION} ${sha256(text)}\n${text}`);
}

/** Reads a journal. Throws `DATA_LOSS` when it is damaged or newer; `place` says where it is. */
export function decodeJournal(data: Uint8Array, place: string): Journal {
  const text = new TextDecoder().decode(data);
  const end = text.indexOf("\n");
  const [format, version = "", hash] = text.slice(0, Math.max(0, end)).split(" ");
  const body = text.slice(end + 1);
  if (format !== FORMAT) throw damaged(place, "it does not begin as one");
  if (Number(version) > VERSION) {
    throw new AgentError(
      "DATA_LOSS",
      `the CA journal in ${place} has version ${version}, and this program knows versions up to ${VERSION}: run the newer program, or restore a backup made by this one`,
    );
  }
  const read = Object.hasOwn(READERS, version) ? READERS[version] : undefined;
  if (read === undefined) throw damaged(place, "its version is no number");
  if (hash !== sha256(body)) throw damaged(place, "its checksum is wrong");
  try {
    const stored = read(JSON.parse(body));
    return {
      x509: stored.x509.map(({ certificate, ...entry }) => ({
        ...entry,
        certificate: fromBase64(certificate) as Der,
      })),
      jwt: stored.jwt.map(decodeKey),
      wit: stored.wit.map(decodeKey),
    };
  } catch (error) {
    throw damaged(place, "its content is not of the form", error);
  }
}

/** An authority that signs, or will, is never the one that goes. */
function kept<T extends JournalEntry>(entries: readonly T[]): readonly T[] {
  let excess = entries.length - MAX_JOURNAL_ENTRIES;
  return entries.filter((entry) => entry.status !== "old" || excess-- <= 0);
}

function common(entry: JournalEntry): JournalEntry {
  const { slot, authorityId, status, issuedAt, notAfter } = entry;
  return { slot, authorityId, status, issuedAt, notAfter };
}

function encodeKey(entry: KeyJournalEntry): Stored["jwt"][number] {
  return { ...common(entry), publicKey: toBase64(entry.publicKey) };
}

function decodeKey({ publicKey, ...entry }: Stored["jwt"][number]): KeyJournalEntry {
  return { ...entry, publicKey: fromBase64(publicKey) };
}

function damaged(place: string, reason: string, cause?: unknown): AgentError {
  return new AgentError(
    "DATA_LOSS",
    `the CA journal in ${place} is damaged (${reason}): restore a backup of the datastore, or delete the row of table ca_journal to start with a new CA; nothing was changed`,
    { cause },
  );
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
