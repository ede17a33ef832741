/**
 * SPIRE's keys that this version does not implement: an error where ignoring the key would weaken security,
 * lose data or leave out a service that others wait for at this address; else a warning that names it.
 */

/** One key of SPIRE's. */
export interface NotImplemented {
  /** Where it stands, from the top of the file, joined with dots. */
  readonly key: string;
  readonly outcome: "error" | "warning";
  /** Values that ask for nothing beyond what happens anyway; empty texts and lists always do. */
  readonly harmless?: readonly (string | number | boolean)[];
  /** Ends the sentence "not implemented in this version: …" (error) or "… and ignored: …" (warning). */
  readonly why: string;
}

type Row = readonly [
  key: string,
  outcome: "error" | "warning",
  why: string,
  ...harmless: (string | number | boolean)[],
];

const table = (rows: readonly Row[]): readonly NotImplemented[] =>
  rows.map(([key, outcome, why, ...harmless]) => ({ key, outcome, why, harmless }));

/** Keys of `agent.conf`. */
// biome-ignore format: a table
export const AGENT_NOT_IMPLEMENTED = table([
  ["agent.trust_bundle_spiffe_workload_api", "error", "use trust_bundle_path or trust_bundle_url"],
  ["agent.rebootstrap_mode", "error", "the agent never gives up its stored bundle by itself", "never"],
  ["agent.rebootstrap_delay", "warning", "it has no effect without rebootstrap_mode", "10m"],
  ["agent.retry_bootstrap", "warning", "the agent always retries; SPIRE removed this key", true],
  ["agent.x509_svid_cache_max_size", "warning", "the agent holds an X.509-SVID for every entry it is authorized for"],
  ["agent.profiling_enabled", "warning", "there is no profiler", false],
  ["agent.profiling_port", "warning", "there is no profiler", 0],
  ["agent.profiling_freq", "warning", "there is no profiler", 0],
  ["agent.profiling_names", "warning", "there is no profiler"],
  ["agent.experimental.jwt_svid_cache_hit_timeout", "warning", "a valid token from the cache is returned at once"],
  ["agent.experimental.named_pipe_name", "error", "named pipes are for Windows; use socket_path"],
  ["agent.experimental.admin_named_pipe_name", "error", "named pipes are for Windows; use admin_socket_path"],
  ["agent.experimental.broker", "warning", "the Broker API is not served"],
  ["agent.experimental.feature_flags", "warning", "there are no feature flags"],
]);

/** Keys of `server.conf`. */
// biome-ignore format: a table
export const SERVER_NOT_IMPLEMENTED = table([
  ["server.federation", "error", "bundles of other trust domains are neither served nor fetched"],
  ["server.proxy_protocol_trusted_cidrs", "error", "connections that start with a PROXY header would fail"],
  ["server.max_attested_node_info_staleness", "warning", "the node is looked up at every call", "0", "0s", 0],
  ["server.prune_attested_nodes_batch_size", "warning", "the server has its own batch size"],
  ["server.profiling_enabled", "warning", "there is no profiler", false],
  ["server.profiling_port", "warning", "there is no profiler", 0],
  ["server.profiling_freq", "warning", "there is no profiler", 0],
  ["server.profiling_names", "warning", "there is no profiler"],
  ["server.experimental.auth_opa_policy_engine", "error", "the authorization policy is built in"],
  ["server.experimental.named_pipe_name", "error", "named pipes are for Windows; use socket_path"],
  ["server.experimental.full_cache_reload_interval", "warning", "changes are followed, not polled"],
  ["server.experimental.events_based_cache", "warning", "changes are followed, not polled", false],
  ["server.experimental.event_timeout", "warning", "changes are followed, not polled"],
  ["server.experimental.sql_transaction_timeout", "warning", "changes are followed, not polled"],
  ["plugins.DataStore.sql.plugin_data.ro_connection_string", "warning", "SQLite has no replicas"],
  ["plugins.DataStore.sql.plugin_data.max_open_conns", "warning", "SQLite has one connection"],
  ["plugins.DataStore.sql.plugin_data.max_idle_conns", "warning", "SQLite has one connection"],
  ["plugins.DataStore.sql.plugin_data.conn_max_lifetime", "warning", "SQLite has one connection"],
  ["plugins.DataStore.sql.plugin_data.root_ca_path", "warning", "SQLite is not reached over a network"],
  ["plugins.DataStore.sql.plugin_data.client_cert_path", "warning", "SQLite is not reached over a network"],
  ["plugins.DataStore.sql.plugin_data.client_key_path", "warning", "SQLite is not reached over a network"],
  ["plugins.DataStore.sql.plugin_data.disable_migration", "error", "the server brings its database up to date when it starts", false],
  ["plugins.DataStore.sql.plugin_data.log_sql", "warning", "statements are never logged", false],
]);

/** Keys of both files. */
// biome-ignore format: a table
export const SHARED_NOT_IMPLEMENTED = table([
  ["telemetry.Prometheus.tls", "error", "the metrics would be readable without TLS; remove it and protect the port otherwise"],
  ["telemetry.DogStatsd", "warning", "only Prometheus can collect metrics"],
  ["telemetry.Statsd", "warning", "only Prometheus can collect metrics"],
  ["telemetry.M3", "warning", "only Prometheus can collect metrics"],
  ["telemetry.InMem", "warning", "only Prometheus can collect metrics"],
  ["telemetry.MetricPrefix", "warning", "metrics keep their names"],
  ["telemetry.EnableTrustDomainLabel", "warning", "metrics keep their labels"],
  ["telemetry.EnableHostnameLabel", "warning", "metrics keep their labels"],
  ["telemetry.AllowedPrefixes", "warning", "every metric is exported"],
  ["telemetry.BlockedPrefixes", "warning", "every metric is exported"],
  ["telemetry.AllowedLabels", "warning", "every label is exported"],
  ["telemetry.BlockedLabels", "warning", "every label is exported"],
]);

/** Keys that stand beside `plugin_data` in every enabled plugin's block. */
// biome-ignore format: a table
export const PLUGIN_NOT_IMPLEMENTED = table([
  ["plugin_cmd", "error", "plugins that are programs of their own cannot be run"],
  ["plugin_args", "error", "plugins that are programs of their own cannot be run"],
  ["plugin_checksum", "error", "plugins that are programs of their own cannot be run"],
  ["plugin_data_file", "error", "move its content into plugin_data"],
]);
