/** Prints registration entries as SPIRE does. */
import type { Entry } from "../../gen/spire/api/types/entry.ts";
import { visible } from "../../lib/visible.ts";
import { idText, timeText } from "../wire.ts";

const LABEL_COLUMN = 24;

/** One entry, a line per property, an empty line after it. Rare properties are shown only when set. */
export function entryText(entry: Entry): string {
  const lines: (readonly [string, string])[] = [
    ["Entry ID", entry.id === "" ? "(none)" : entry.id],
    ["SPIFFE ID", idText(entry.spiffeId)],
    ["Parent ID", idText(entry.parentId)],
    ["Revision", String(entry.revisionNumber)],
    ...when(entry.downstream, "Downstream", "true"),
    ["X509-SVID TTL", ttlText(entry.x509SvidTtl)],
    ["JWT-SVID TTL", ttlText(entry.jwtSvidTtl)],
    ...when(entry.expiresAt !== 0n, "Expiration time", timeText(entry.expiresAt)),
    ...entry.selectors.map(({ type, value }) => ["Selector", `${type}:${value}`] as const),
    ...entry.federatesWith.map((trustDomain) => ["FederatesWith", trustDomain] as const),
    ...entry.dnsNames.map((name) => ["DNS name", name] as const),
    ...when(entry.admin, "Admin", "true"),
    ...when(entry.storeSvid, "StoreSvid", "true"),
    ...when(entry.hint !== "", "Hint", entry.hint),
    ...when(entry.additionalAttributes?.disableX509SvidPrefetch === true, "DisableX509SvidPrefetch", "true"),
    ...when(entry.additionalAttributes?.jwtSvidIncludeJti === true, "JwtSvidIncludeJti", "true"),
  ];
  return `${lines.map(([label, value]) => `${label.padEnd(LABEL_COLUMN)}: ${visible(value)}\n`).join("")}\n`;
}

function when(shown: boolean, label: string, value: string): (readonly [string, string])[] {
  return shown ? [[label, value]] : [];
}

function ttlText(seconds: number): string {
  return seconds === 0 ? "default" : String(seconds);
}
