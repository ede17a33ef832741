/** Turns the server's validated keys into its configuration, and checks what no single key can tell. */
import { trustDomainOf } from "../spiffe/id.ts";
import { reserveLife } from "../spiffe/outage-cover.ts";
import { formatDuration } from "./duration.ts";
import type { SectionValue } from "./keys.ts";
import { uncoveredText } from "./outage-text.ts";
import type { Enabled } from "./plugins.ts";
import type { Raw } from "./section.ts";
import type { CaSubjectConfig, ServerConfig } from "./server-config.ts";
import { DEFAULT_X509_SVID_TTL_MS, type SERVER } from "./server-keys.ts";
import type { ServerPlugins } from "./server-plugins.ts";
import type { HealthChecksConfig, TelemetryConfig } from "./shared-config.ts";
import { logConfig, unbracket } from "./shared-keys.ts";

/** Reports a problem with a key of the `server` section. */
export type Report = (key: string, problem: string) => void;

type ServerKeys = SectionValue<typeof SERVER>;

/** A CA is replaced when a sixth of its life is left, at most seven days: longer SVIDs may be cut short. */
const CA_SHARE = 6;
const LONGEST_SVID_MS = 7 * 86_400_000;
const DEFAULT_SUBJECT: CaSubjectConfig = { country: ["US"], organization: ["SPIFFE"], commonName: "" };

/** Checks which keys go together, also where single ones are wrong. */
export function checkServer(raw: Raw, report: Report): void {
  if (raw.default_svid_ttl !== undefined && raw.default_x509_svid_ttl !== undefined) {
    report("default_svid_ttl", "is the older name of default_x509_svid_ttl, which is set as well; remove it");
  }
}

/** Puts the configuration together; warns of what will not work as it reads. */
export function buildServer<A>(
  keys: ServerKeys,
  plugins: Enabled<ServerPlugins<A>>,
  healthChecks: HealthChecksConfig,
  telemetry: TelemetryConfig,
  warn: Report,
): ServerConfig<A> | undefined {
  const [dataStore] = plugins.DataStore;
  const [keyManager] = plugins.KeyManager;
  const x509SvidTtl = keys.default_x509_svid_ttl ?? keys.default_svid_ttl ?? DEFAULT_X509_SVID_TTL_MS;
  const x509Key = keys.default_svid_ttl === undefined ? "default_x509_svid_ttl" : "default_svid_ttl";
  warnOfLongTtl(x509Key, x509SvidTtl, keys.ca_ttl, warn);
  warnOfLongTtl("default_jwt_svid_ttl", keys.default_jwt_svid_ttl, keys.ca_ttl, warn);
  warnOfLongTtl("agent_ttl", keys.agent_ttl, keys.ca_ttl, warn);
  for (const [key, ttl] of [
    [x509Key, x509SvidTtl],
    ["agent_ttl", keys.agent_ttl],
  ] as const) {
    const uncovered = uncoveredText(ttl, keys.outage_budget);
    if (uncovered !== undefined) warn(key, uncovered);
  }
  const jwtReserve = reserveConfig(keys, warn);
  for (const [index, id] of keys.admin_ids.entries()) {
    if (trustDomainOf(id) === keys.trust_domain) continue;
    warn(`admin_ids[${index}]`, "is of another trust domain, whose callers cannot be verified in this version");
  }
  if (keys.prune_tofu_nodes && keys.prune_attested_nodes_expired_for === undefined) {
    warn("prune_tofu_nodes", "has no effect without prune_attested_nodes_expired_for");
  }
  if (dataStore === undefined || keyManager === undefined) return undefined;
  return {
    trustDomain: keys.trust_domain,
    dataDir: keys.data_dir,
    bindAddress: unbracket(keys.bind_address),
    bindPort: keys.bind_port,
    socketPath: keys.socket_path,
    log: logConfig(keys),
    caTtlMs: keys.ca_ttl,
    outageBudgetMs: keys.outage_budget,
    caKeyType: keys.ca_key_type,
    jwtKeyType: keys.jwt_key_type ?? keys.ca_key_type,
    caSubject: caSubject(keys.ca_subject),
    defaultX509SvidTtlMs: x509SvidTtl,
    defaultJwtSvidTtlMs: keys.default_jwt_svid_ttl,
    agentTtlMs: keys.agent_ttl,
    ...(keys.jwt_issuer === undefined ? {} : { jwtIssuer: keys.jwt_issuer }),
    disableJwtSvids: keys.disable_jwt_svids,
    ...(jwtReserve === undefined ? {} : { jwtReserve }),
    adminIds: keys.admin_ids,
    auditLogEnabled: keys.audit_log_enabled,
    rateLimit: keys.ratelimit,
    ...(keys.prune_attested_nodes_expired_for === undefined
      ? {}
      : { pruneAttestedNodesExpiredForMs: keys.prune_attested_nodes_expired_for }),
    pruneTofuNodes: keys.prune_tofu_nodes,
    healthChecks,
    telemetry,
    experimental: {
      cacheReloadIntervalMs: keys.experimental.cache_reload_interval,
      pruneEventsOlderThanMs: keys.experimental.prune_events_older_than,
      requirePqKem: keys.experimental.require_pq_kem,
      agentSpiffeIdAsSelector: keys.experimental.agent_spiffe_id_as_selector,
      ...witConfig(keys, warn),
    },
    plugins: { dataStore, keyManager, nodeAttestors: plugins.NodeAttestor },
  };
}

/** What agents may keep; absent where it is off, or something else leaves it nothing to do, of which is warned. */
function reserveConfig(
  { jwt_reserve: reserve, outage_budget: budgetMs, disable_jwt_svids: noJwts, ca_ttl: caTtl }: ServerKeys,
  warn: Report,
): ServerConfig["jwtReserve"] {
  if (!reserve.enabled) return undefined;
  const idle = noJwts ? "with disable_jwt_svids" : budgetMs === 0 ? "without outage_budget" : undefined;
  if (idle !== undefined) {
    warn("jwt_reserve", `has no effect ${idle}`);
    return undefined;
  }
  const lifeMs = reserveLife(budgetMs);
  if (lifeMs > Math.min(caTtl / CA_SHARE, LONGEST_SVID_MS)) {
    warn(
      "jwt_reserve",
      `tokens of ${formatDuration(lifeMs)}, 1.25 times outage_budget, may end earlier: ca_ttl is too short`,
    );
  }
  return { maxAudiences: reserve.max_audiences, lifeMs };
}

function witConfig(
  {
    ca_key_type: caKeyType,
    experimental: { feature_flags: flags, wit_key_type: keyType, wit_issuer: issuer },
  }: ServerKeys,
  warn: Report,
): Pick<ServerConfig["experimental"], "witKeyType" | "witIssuer"> {
  if (flags.includes("wit-svid")) {
    return { witKeyType: keyType ?? caKeyType, ...(issuer === undefined ? {} : { witIssuer: issuer }) };
  }
  const idle = 'has no effect without experimental.feature_flags = ["wit-svid"]';
  if (keyType !== undefined) warn("experimental.wit_key_type", idle);
  if (issuer !== undefined) warn("experimental.wit_issuer", idle);
  return {};
}

function warnOfLongTtl(key: string, ttlMs: number, caTtlMs: number, warn: Report): void {
  const longest = Math.min(caTtlMs / CA_SHARE, LONGEST_SVID_MS);
  if (ttlMs <= longest) return;
  const advice = [`set it to ${inSeconds(longest)} or less`];
  if (ttlMs <= LONGEST_SVID_MS) advice.push(`or ca_ttl to ${formatDuration(ttlMs * CA_SHARE)} or more`);
  warn(
    key,
    `${formatDuration(ttlMs)} is more than ${inSeconds(longest)}, ` +
      `the lesser of a sixth of ca_ttl (${formatDuration(caTtlMs)}) and 168h; SVIDs may end earlier: ${advice.join(", ")}`,
  );
}

function inSeconds(ms: number): string {
  return formatDuration(Math.floor(ms / 1000) * 1000);
}

function caSubject(keys: ServerKeys["ca_subject"]): CaSubjectConfig {
  if (keys === undefined) return DEFAULT_SUBJECT;
  const { country, organization, common_name: commonName = "" } = keys;
  if (country.length === 0 && organization.length === 0 && commonName === "") return DEFAULT_SUBJECT;
  return { country, organization, commonName };
}
