/** Turns the agent's validated keys into its configuration, and checks what no single key can tell. */
import { dirname, relative, resolve } from "node:path";
import { pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from "../spiffe/id.ts";
import type { AgentConfig, BootstrapConfig, JoinTokenConfig } from "./agent-config.ts";
import { type AGENT, JWT_SVID_CACHE_SIZE } from "./agent-keys.ts";
import type { AgentPlugins } from "./agent-plugins.ts";
import type { SectionValue } from "./keys.ts";
import type { Enabled } from "./plugins.ts";
import type { Raw } from "./section.ts";
import type { HealthChecksConfig, TelemetryConfig } from "./shared-config.ts";
import { logConfig, unbracket } from "./shared-keys.ts";

/** Reports a problem with a key of the `agent` section. */
export type Report = (key: string, problem: string) => void;

type AgentKeys = SectionValue<typeof AGENT>;

/** Checks which keys go together, also where single ones are wrong. */
export function checkAgent(raw: Raw, report: Report): void {
  const isSet = (key: string): boolean => raw[key] !== undefined && raw[key] !== false;
  const sources = ["trust_bundle_path", "trust_bundle_url", "insecure_bootstrap"].filter(isSet);
  if (sources.length === 0) {
    report("trust_bundle_path", "is required, or trust_bundle_url, or insecure_bootstrap = true");
  }
  if (sources.length > 1) report(sources[1] as string, `cannot be used together with ${sources[0]}`);
  if (isSet("join_token") && isSet("join_token_file")) {
    report("join_token_file", "cannot be used together with join_token");
  }
  checkBundleUrl(raw, report);
  checkSockets(raw, report);
}

function checkBundleUrl(raw: Raw, report: Report): void {
  const { trust_bundle_url: text, trust_bundle_unix_socket: socket } = raw;
  if (socket !== undefined && text === undefined) {
    report("trust_bundle_unix_socket", "needs trust_bundle_url as well");
  }
  if (typeof text !== "string") return;
  const url = URL.parse(text);
  const scheme = socket === undefined ? "https:" : "http:";
  if (url?.protocol !== scheme) {
    report(
      "trust_bundle_url",
      `must be a URL that starts with ${scheme}//${socket === undefined ? "" : " to go through a socket"}`,
    );
  }
  // The agent adds parameters of these names itself.
  if (socket !== undefined && url?.searchParams.keys().some((name) => /^(?:spiffe|spire)-/.test(name))) {
    report("trust_bundle_url", "must not have parameters that start with spiffe- or spire-");
  }
}

/** Whoever may enter the Workload API's folder could otherwise reach the administration socket. */
function checkSockets(raw: Raw, report: Report): void {
  const { admin_socket_path: admin, socket_path: workload = "/tmp/spire-agent/public/api.sock" } = raw;
  if (typeof admin !== "string" || typeof workload !== "string") return;
  const way = relative(dirname(resolve(workload)), dirname(resolve(admin)));
  if (way !== ".." && !way.startsWith("../")) {
    report("admin_socket_path", "must not be in the folder of socket_path or below it");
  }
}

/** Puts the configuration together; reports what is left to find. */
export function buildAgent<A>(
  keys: AgentKeys,
  plugins: Enabled<AgentPlugins<A>>,
  healthChecks: HealthChecksConfig,
  telemetry: TelemetryConfig,
  report: Report,
): AgentConfig<A> | undefined {
  checkDelegates(keys.authorized_delegates, keys.trust_domain, report);
  const { max_connections: most, max_connections_per_uid: perUid } = keys.experimental;
  if (perUid !== undefined && perUid > most) {
    report("experimental.max_connections_per_uid", `is more than max_connections, which is ${most}`);
  }
  const [nodeAttestor] = plugins.NodeAttestor;
  const [keyManager] = plugins.KeyManager;
  const bootstrap = bootstrapConfig(keys);
  const joinToken = joinTokenConfig(keys);
  if (nodeAttestor === undefined || keyManager === undefined || bootstrap === undefined) return undefined;
  return {
    trustDomain: keys.trust_domain,
    serverAddress: unbracket(keys.server_address),
    serverPort: keys.server_port,
    dataDir: keys.data_dir,
    socketPath: keys.socket_path,
    ...(keys.admin_socket_path === undefined ? {} : { adminSocketPath: keys.admin_socket_path }),
    disableWorkloadApi: keys.disable_workload_api,
    disableSdsApi: keys.disable_sds_api,
    log: logConfig(keys),
    logSelectors: keys.log_selectors,
    bootstrap,
    ...(joinToken === undefined ? {} : { joinToken }),
    workloadKeyType: keys.workload_x509_svid_key_type,
    ...(keys.availability_target === undefined ? {} : { availabilityTargetMs: keys.availability_target }),
    outageBudgetMs: keys.outage_budget,
    storage: {
      protection: keys.storage,
      pcrs: keys.storage_pcrs,
      ...(keys.storage_tcti === undefined ? {} : { tcti: keys.storage_tcti }),
    },
    allowUnauthenticatedVerifiers: keys.allow_unauthenticated_verifiers,
    allowedForeignJwtClaims: keys.allowed_foreign_jwt_claims,
    jwtSvidCacheMaxSize: keys.jwt_svid_cache_max_size || JWT_SVID_CACHE_SIZE,
    authorizedDelegates: keys.authorized_delegates,
    sds: {
      defaultSvidName: keys.sds.default_svid_name,
      defaultBundleName: keys.sds.default_bundle_name,
      defaultAllBundlesName: keys.sds.default_all_bundles_name,
      disableSpiffeCertValidation: keys.sds.disable_spiffe_cert_validation,
    },
    healthChecks,
    telemetry,
    experimental: {
      syncIntervalMs: keys.experimental.sync_interval,
      requirePqKem: keys.experimental.require_pq_kem,
      useSyncAuthorizedEntries: keys.experimental.use_sync_authorized_entries,
      maxConnections: most,
      maxConnectionsPerUid: perUid,
      rateLimits: rateLimits(keys.experimental.ratelimit),
    },
    plugins: { nodeAttestor, keyManager, workloadAttestors: plugins.WorkloadAttestor },
  };
}

function rateLimits(keys: AgentKeys["experimental"]["ratelimit"]): Readonly<Record<string, number>> {
  const limits = {
    FetchX509SVID: keys.fetch_x509_svid,
    FetchJWTSVID: keys.fetch_jwt_svid,
    FetchX509Bundles: keys.fetch_x509_bundles,
    FetchJWTBundles: keys.fetch_jwt_bundles,
    FetchWITSVID: keys.fetch_wit_svid,
    FetchWITBundles: keys.fetch_wit_bundles,
    StreamSecrets: keys.stream_secrets,
    DeltaSecrets: keys.stream_secrets,
    FetchSecrets: keys.fetch_secrets,
  };
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit > 0));
}

function checkDelegates(delegates: readonly SpiffeId[], trustDomain: TrustDomain, report: Report): void {
  for (const [index, id] of delegates.entries()) {
    if (trustDomainOf(id) !== trustDomain)
      report(`authorized_delegates[${index}]`, `is not a member of ${trustDomain}`);
    else if (pathOf(id) === "") report(`authorized_delegates[${index}]`, "needs a path");
  }
}

function bootstrapConfig(keys: AgentKeys): BootstrapConfig | undefined {
  const { trust_bundle_path: path, trust_bundle_url: url, trust_bundle_unix_socket: unixSocket } = keys;
  const { trust_bundle_format: format } = keys;
  if (keys.insecure_bootstrap) return { kind: "insecure" };
  if (path !== undefined) return { kind: "file", path, format };
  if (url === undefined) return undefined;
  return { kind: "url", url, format, ...(unixSocket === undefined ? {} : { unixSocket }) };
}

function joinTokenConfig(keys: AgentKeys): JoinTokenConfig | undefined {
  if (keys.join_token !== undefined) return { kind: "token", token: keys.join_token };
  return keys.join_token_file === undefined ? undefined : { kind: "file", path: keys.join_token_file };
}
