/**
 * What the server remembers of its authorities between runs. The record is a line with format, version and SHA-256,
 * and the JSON that the hash covers. JWT authorities come with a version of their own.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { AgentError } from "../../lib/errors.ts";
import type { Der } from "../../spiffe/svid.ts";
import type { AuthorityLife, SlotId } from "./slots.ts";

/** An authority's place in its life. An old one signs no more; what it signed is valid. */
export type AuthorityStatus = "prepared" | "active" | "old";

/** One X.509 authority that this server made. */
export interface JournalEntry extends AuthorityLife {
  readonly slot: SlotId;
  /** The certificate's subject key identifier, lower-case hex. */
  readonly authorityId: string;
  readonly status: AuthorityStatus;
  readonly certificate: Der;
}

/** Oldest first. */
export interface Journal {
  readonly x509: readonly JournalEntry[];
}

/** Entries kept per kind; the oldest go first. */
export const MAX_JOURNAL_ENTRIES = 10;

const FORMAT = "holdfast-ca-journal";
const VERSION = 1;

const schema = z.strictObject({
  x509: z
    .array(
      z.strictObject({
        slot: z.enum(["A", "B"]),
        authorityId: z.string().regex(/^[0-9a-f]+$/),
        status: z.enum(["prepared", "active", "old"]),
        issuedAt: z.int(),
        notAfter: z.int(),
        certificate: z.base64(),
      }),
    )
    .max(MAX_JOURNAL_ENTRIES),
});

/** Writes a journal, its newest entries if it has more than are kept. */
export function encodeJournal(journal: Journal): Uint8Array {
  const body: z.infer<typeof schema> = {
    x509: journal.x509.slice(-MAX_JOURNAL_ENTRIES).map((entry) => ({
      slot: entry.slot,
      authorityId: entry.authorityId,
      status: entry.status,
      issuedAt: entry.issuedAt,
      notAfter: entry.notAfter,
      certificate: Buffer.from(entry.certificate).toString("base64"),
    })),
  };
  const text = JSON.stringify(body);
  return new TextEncoder().encode(`${FORMAT} ${VERSION} ${sha256(text)}\n${text}`);
}

/** Reads a journal. Throws `DATA_LOSS` when it is damaged or newer; `place` says where it is. */
export function decodeJournal(data: Uint8Array, place: string): Journal {
  const text = new TextDecoder().decode(data);
  const end = text.indexOf("\n");
  const [format, version, hash] = text.slice(0, Math.max(0, end)).split(" ");
  const body = text.slice(end + 1);
  if (format !== FORMAT) throw damaged(place, "it does not begin as one");
  if (Number(version) > VERSION) {
    throw new AgentError(
      "DATA_LOSS",
      `the CA journal in ${place} has version ${version}, and this program knows versions up to ${VERSION}: run the newer program, or restore a backup made by this one`,
    );
  }
  if (version !== String(VERSION)) throw damaged(place, "its version is no number");
  if (hash !== sha256(body)) throw damaged(place, "its checksum is wrong");
  try {
    const { x509 } = schema.parse(JSON.parse(body));
    return {
      x509: x509.map((entry) => ({
        ...entry,
        certificate: new Uint8Array(Buffer.from(entry.certificate, "base64")) as Der,
      })),
    };
  } catch (error) {
    throw damaged(place, "its content is not of the form", error);
  }
}

function damaged(place: string, reason: string, cause?: unknown): AgentError {
  return new AgentError(
    "DATA_LOSS",
    `the CA journal in ${place} is damaged (${reason}): restore a backup of the datastore, or delete the row of table ca_journal to start with a new CA; nothing was changed`,
    { cause },
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
