/** The flags that describe an entry, and the message they make. */
import { readFileSync } from "node:fs";
import { Entry } from "../../gen/spire/api/types/entry.ts";
import { errorText, publicError } from "../../lib/errors.ts";
import {
  type CliContext,
  flag,
  integer,
  type OptionSpec,
  type OptionValues,
  text,
  texts,
  UsageError,
} from "../command.ts";
import { idFromText, selectorFromText, trustDomainFromText } from "../wire.ts";
import { entriesFromFile } from "./entry-file.ts";

/** The wire has 32 bits for it. */
const MAX_TTL_SECONDS = 2 ** 31 - 1;

/** Flags of `entry create` and `entry update`. */
export const ENTRY_OPTIONS: readonly OptionSpec[] = [
  { name: "spiffeID", value: "id", description: "The SPIFFE ID that workloads with these selectors get." },
  {
    name: "parentID",
    value: "id",
    description: "The SPIFFE ID of the agent, node alias or entry that this entry hangs under.",
  },
  {
    name: "node",
    description: "Makes the entry a node alias: its parent is the server, its selectors are those of nodes.",
  },
  {
    name: "selector",
    value: "type:value",
    repeat: true,
    description: "A property that the workload must have, such as unix:uid:1000.",
  },
  {
    name: "entryID",
    value: "id",
    description: "The entry's own ID; made up by the server when it is not given to create.",
  },
  { name: "x509SVIDTTL", value: "seconds", description: "Lifetime of its X.509-SVIDs; 0 for the server's default." },
  { name: "jwtSVIDTTL", value: "seconds", description: "Lifetime of its JWT-SVIDs; 0 for the server's default." },
  { name: "ttl", value: "seconds", description: "Deprecated: use -x509SVIDTTL." },
  {
    name: "dns",
    value: "name",
    repeat: true,
    description: "A DNS name for its X.509-SVIDs. The first is also their common name.",
  },
  {
    name: "federatesWith",
    value: "trust domain",
    repeat: true,
    description: "A foreign trust domain whose bundle the workload gets.",
  },
  { name: "admin", description: "Callers with this SPIFFE ID may administer the server." },
  { name: "downstream", description: "Callers with this SPIFFE ID may ask for a CA of their own." },
  { name: "entryExpiry", value: "Unix seconds", description: "When the server removes the entry; 0 for never." },
  { name: "storeSVID", description: "Its SVIDs are for an SVID store, not for the Workload API." },
  {
    name: "hint",
    value: "text",
    description: "Tells workloads which of several identities this is; at most 1024 bytes.",
  },
  { name: "disableX509SVIDPrefetch", description: "Agents sign its X.509-SVIDs only when a workload asks." },
  { name: "jwtSVIDIncludeJTI", description: "Its JWT-SVIDs carry a jti claim and are never cached." },
  { name: "data", value: "path", description: 'Reads entries from a JSON file instead ("-" for standard input).' },
];

/** The entries that the flags, or the file they name, describe. Throws `UsageError` or `INVALID_ARGUMENT`. */
export async function entriesFromOptions(options: OptionValues, context: CliContext): Promise<Entry[]> {
  const data = text(options, "data");
  if (data === "") return [entryFromFlags(options, context)];
  let json: string;
  try {
    json = data === "-" ? await context.stdin() : readFileSync(data, "utf8");
  } catch (error) {
    throw publicError("INVALID_ARGUMENT", `-data: cannot read ${data} (${errorText(error)})`);
  }
  return entriesFromFile(json, data === "-" ? "standard input" : data);
}

function entryFromFlags(options: OptionValues, context: CliContext): Entry {
  const spiffeId = text(options, "spiffeID");
  if (texts(options, "selector").length === 0) throw new UsageError("at least one selector is required");
  if (spiffeId === "") throw new UsageError("a SPIFFE ID is required (-spiffeID)");
  const node = flag(options, "node");
  if (node && flag(options, "federatesWith")) throw new UsageError("node entries can not federate");
  if (!node && text(options, "parentID") === "")
    throw new UsageError("a parent ID is required if the node flag is not set (-parentID)");
  const id = idFromText("spiffeID", spiffeId);
  return Entry.fromPartial({
    id: text(options, "entryID"),
    spiffeId: id,
    parentId: node
      ? { trustDomain: id.trustDomain, path: "/spire/server" }
      : idFromText("parentID", text(options, "parentID")),
    selectors: texts(options, "selector").map((selector) => selectorFromText("selector", selector)),
    x509SvidTtl: x509Ttl(options, context),
    jwtSvidTtl: ttl(options, "jwtSVIDTTL") ?? 0,
    federatesWith: texts(options, "federatesWith").map((name) => trustDomainFromText("federatesWith", name)),
    dnsNames: [...texts(options, "dns")],
    admin: flag(options, "admin"),
    downstream: flag(options, "downstream"),
    expiresAt: BigInt(integer(options, "entryExpiry") ?? 0),
    storeSvid: flag(options, "storeSVID"),
    hint: text(options, "hint"),
    additionalAttributes: {
      disableX509SvidPrefetch: flag(options, "disableX509SVIDPrefetch"),
      jwtSvidIncludeJti: flag(options, "jwtSVIDIncludeJTI"),
    },
  });
}

/** `-ttl` was SPIRE's flag before there were two kinds of SVID. */
function x509Ttl(options: OptionValues, context: CliContext): number {
  const old = ttl(options, "ttl");
  if (old === undefined) return ttl(options, "x509SVIDTTL") ?? 0;
  if (text(options, "x509SVIDTTL") !== "" || text(options, "jwtSVIDTTL") !== "") {
    throw new UsageError("-ttl cannot be given beside -x509SVIDTTL or -jwtSVIDTTL; use those two");
  }
  context.err(
    "Warning: -ttl is deprecated and means the X.509-SVID TTL; use -x509SVIDTTL (and -jwtSVIDTTL) instead.\n",
  );
  return old;
}

function ttl(options: OptionValues, name: string): number | undefined {
  const value = integer(options, name);
  if (value !== undefined && value < 0) throw new UsageError(`a positive TTL is required (-${name})`);
  if (value !== undefined && value > MAX_TTL_SECONDS)
    throw new UsageError(`-${name} is at most ${MAX_TTL_SECONDS} seconds`);
  return value;
}
