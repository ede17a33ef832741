/** Pages: opaque tokens, and long lists read in slices so that no read holds up the process. */
import { publicError } from "../../../lib/errors.ts";
import { turn } from "../../../lib/turn.ts";
import type { Page, PageRequest } from "../datastore.ts";

/** Rows read at a time. */
export const SLICE = 250;

/** A row that a page can end after. */
interface Positioned {
  readonly seq: number;
}

/**
 * Collects a page by reading slices of at most `SLICE` rows after a position. A row that exists all the while is
 * returned once; rows that come or go meanwhile may be in it or not. Throws `INVALID_ARGUMENT` for a bad token.
 */
export async function readPage<R extends Positioned, T>(
  page: PageRequest,
  slice: (after: number, limit: number) => Promise<readonly R[]>,
  load: (rows: readonly R[]) => Promise<readonly T[]>,
): Promise<Page<T>> {
  if (!Number.isSafeInteger(page.size) || page.size < 0) throw publicError("INVALID_ARGUMENT", "invalid page size");
  const items: T[] = [];
  let after = page.token === "" ? 0 : parseToken(page.token);
  for (let first = true; ; first = false) {
    if (!first) await turn();
    const wanted = page.size === 0 ? SLICE : Math.min(SLICE, page.size - items.length);
    // One row more tells whether anything follows.
    const rows = await slice(after, wanted + 1);
    const kept = rows.slice(0, wanted);
    items.push(...(await load(kept)));
    after = kept.at(-1)?.seq ?? after;
    if (rows.length <= wanted) return { items, nextToken: "" };
    if (items.length === page.size) return { items, nextToken: formatToken(after) };
  }
}

function formatToken(seq: number): string {
  return Buffer.from(`seq:${seq}`).toString("base64url");
}

function parseToken(token: string): number {
  const match = /^seq:([1-9][0-9]{0,14})$/.exec(Buffer.from(token, "base64url").toString("latin1"));
  if (match?.[1] === undefined) throw publicError("INVALID_ARGUMENT", "could not parse page token");
  return Number(match[1]);
}
