/** Reads the JSON file of `entry create -data`, in SPIRE's format: `{"entries": [{"spiffe_id": "...", ...}]}`. */
import { z } from "zod";
import { Entry } from "../../gen/spire/api/types/entry.ts";
import { publicError } from "../../lib/errors.ts";
import { checkSelector, parseSelector } from "../../spiffe/selector.ts";
import { idFromText } from "../wire.ts";

const seconds = z.int().min(0).default(0);
const names = z.array(z.string()).default([]);

const FILE = z.strictObject({
  entries: z
    .array(
      z.strictObject({
        entry_id: z.string().default(""),
        spiffe_id: z.string(),
        parent_id: z.string(),
        selectors: z.array(z.union([z.string(), z.strictObject({ type: z.string(), value: z.string() })])).min(1),
        x509_svid_ttl: seconds,
        jwt_svid_ttl: seconds,
        ttl: seconds,
        federates_with: names,
        dns_names: names,
        admin: z.boolean().default(false),
        downstream: z.boolean().default(false),
        entry_expiry: seconds,
        store_svid: z.boolean().default(false),
        hint: z.string().default(""),
        disable_x509_svid_prefetch: z.boolean().default(false),
        jwt_svid_include_jti: z.boolean().default(false),
      }),
    )
    .min(1),
});

/** The entries of a file. Throws `INVALID_ARGUMENT` with every problem, each with its place. */
export function entriesFromFile(json: string, source: string): Entry[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw publicError("INVALID_ARGUMENT", `${source} is not JSON: ${error instanceof Error ? error.message : ""}`);
  }
  const checked = FILE.safeParse(parsed);
  if (!checked.success) {
    const problems = checked.error.issues.map((issue) => `  ${issue.path.join(".") || "(top)"}: ${issue.message}`);
    throw publicError("INVALID_ARGUMENT", `${source} does not describe entries:\n${problems.join("\n")}`);
  }
  return checked.data.entries.map((entry) =>
    Entry.fromPartial({
      id: entry.entry_id,
      spiffeId: idFromText("data", entry.spiffe_id),
      parentId: idFromText("data", entry.parent_id),
      selectors: entry.selectors.map((selector) =>
        typeof selector === "string" ? parseSelector(selector) : checkSelector(selector),
      ),
      x509SvidTtl: entry.x509_svid_ttl || entry.ttl,
      jwtSvidTtl: entry.jwt_svid_ttl,
      federatesWith: entry.federates_with,
      dnsNames: entry.dns_names,
      admin: entry.admin,
      downstream: entry.downstream,
      expiresAt: BigInt(entry.entry_expiry),
      storeSvid: entry.store_svid,
      hint: entry.hint,
      additionalAttributes: {
        disableX509SvidPrefetch: entry.disable_x509_svid_prefetch,
        jwtSvidIncludeJti: entry.jwt_svid_include_jti,
      },
    }),
  );
}
