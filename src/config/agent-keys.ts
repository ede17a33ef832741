/** Every key of the `agent` section that this version implements. */
import { defaulted, optional, required, section } from "./keys.ts";
import { LOG_KEYS, outageBudget } from "./shared-keys.ts";
import {
  choice,
  duration,
  flag,
  integer,
  numbers,
  path,
  port,
  spiffeIds,
  text,
  texts,
  trustDomain,
  words,
} from "./values.ts";

const DAY_MS = 86_400_000;
/** JWT-SVIDs that the agent keeps unless the file says otherwise, as SPIRE does. */
export const JWT_SVID_CACHE_SIZE = 1_000;
/** Connections that the Workload API's socket holds at once unless the file says otherwise. */
const MAX_CONNECTIONS = 10_000;

const SDS = section(
  {
    default_svid_name: defaulted(text(), "default", "Resource name of the default X.509-SVID."),
    default_bundle_name: defaulted(text(), "ROOTCA", "Resource name of the default bundle."),
    default_all_bundles_name: defaulted(text(), "ALL", "Resource name of all bundles in one, federated ones included."),
    disable_spiffe_cert_validation: defaulted(
      flag(),
      false,
      "Whether Envoy gets plain authorities in place of a configuration for its SPIFFE validator; node metadata of this name has precedence.",
    ),
  },
  "Names for Envoy's secret discovery.",
);

const limit = (method: string, ...more: string[]) => {
  const what = [`Calls of \`${method}\` a second for each set of selectors`, ...more].join(", and ");
  return defaulted(integer(0, 1_000_000), 0, `${what}; \`0\` for no limit.`);
};

const RATELIMIT = section(
  {
    fetch_x509_svid: limit("FetchX509SVID"),
    fetch_jwt_svid: limit("FetchJWTSVID"),
    fetch_x509_bundles: limit("FetchX509Bundles"),
    fetch_jwt_bundles: limit("FetchJWTBundles"),
    fetch_wit_svid: limit("FetchWITSVID"),
    fetch_wit_bundles: limit("FetchWITBundles"),
    stream_secrets: limit("StreamSecrets", "as many of `DeltaSecrets`"),
    fetch_secrets: limit("FetchSecrets"),
  },
  "Limits per caller, off by default; the agent's own calls are exempt.",
);

const EXPERIMENTAL = section(
  {
    sync_interval: defaulted(duration(10), 5_000, "How often the server is asked for changes when it cannot tell."),
    require_pq_kem: defaulted(flag(), false, "Whether TLS to the server must use a post-quantum key exchange."),
    use_sync_authorized_entries: defaulted(
      flag(),
      true,
      "`false` fetches all entries each time, for servers without the incremental call.",
    ),
    max_connections: defaulted(
      integer(1, 1_000_000),
      MAX_CONNECTIONS,
      "Holdfast's own: connections to the Workload API's socket at any one time.",
    ),
    max_connections_per_uid: optional(integer(1, 1_000_000), "Holdfast's own: of these, how many one uid may hold.", {
      fallback: "half of `max_connections`",
    }),
    ratelimit: RATELIMIT,
  },
  "Keys that may change.",
);

/** `agent { … }`. */
export const AGENT = section(
  {
    trust_domain: required(trustDomain(), "The trust domain that the agent belongs to."),
    server_address: required(text("address"), "The server's host name or IP address."),
    server_port: required(port(), "The server's port."),
    data_dir: defaulted(path(), ".", "Folder for what the agent keeps."),
    socket_path: defaulted(path(), "/tmp/spire-agent/public/api.sock", "The Workload API's Unix socket."),
    admin_socket_path: optional(
      path(),
      "The administration socket; neither in the folder of `socket_path` nor below it.",
    ),
    disable_workload_api: defaulted(flag(), false, "Whether to leave the Workload API out."),
    disable_sds_api: defaulted(flag(), false, "Whether to leave Envoy's secret discovery (SDS) out."),
    ...LOG_KEYS,
    log_selectors: defaulted(texts(), [], "Selectors that may appear in logs, by prefix, such as `unix:user`."),
    trust_bundle_path: optional(path(), "File with the bundle to trust the server by at first."),
    trust_bundle_url: optional(
      text("URL"),
      "Where to fetch that bundle: `https://`, or `http://` with `trust_bundle_unix_socket`.",
    ),
    trust_bundle_unix_socket: optional(path(), "Socket through which `trust_bundle_url` is fetched."),
    trust_bundle_format: defaulted(choice(words("pem", "spiffe")), "pem", "Format of that bundle."),
    insecure_bootstrap: defaulted(
      flag(),
      false,
      "Whether to trust whatever server answers first. Exactly one of `trust_bundle_path`, `trust_bundle_url` and this is needed.",
    ),
    join_token: optional(text("secret text"), "Token that the server generated for this node."),
    join_token_file: optional(path(), "File that holds the token; not together with `join_token`."),
    workload_x509_svid_key_type: defaulted(
      choice(words("ec-p256", "ec-p384", "rsa-2048")),
      "ec-p256",
      "Type of the keys made for workloads.",
    ),
    jwt_svid_cache_max_size: defaulted(
      integer(0, 1_000_000),
      JWT_SVID_CACHE_SIZE,
      "How many JWT-SVIDs are kept; `0` is the default.",
    ),
    availability_target: optional(
      duration(DAY_MS),
      "Least remaining life to keep on X.509-SVIDs so that an outage of this length is survived; at least 24h.",
      { fallback: "rotation at half-life" },
    ),
    outage_budget: outageBudget(
      "Holdfast's own: how long a server may be away without a workload noticing. X.509-SVIDs are renewed before less of their life is left, wherever they live longer than this; `0` is off.",
    ),
    storage: defaulted(
      choice(words("auto", "tpm", "credential", "file", "memory")),
      "auto",
      "Holdfast's own: what protects the SVIDs that are kept in `data_dir` for a restart without the server: a key in the `tpm`, the systemd `credential` holdfast-storage-key, or a `file` beside them, which protects nothing; `auto` is the first of these that is there, and `memory` with the KeyManager of that name; `memory` keeps none.",
    ),
    storage_pcrs: defaulted(
      numbers(0, 23),
      [7],
      "Holdfast's own: PCRs of the SHA-256 bank to whose values that key is sealed; `[]` for none.",
    ),
    storage_tcti: optional(text(), "Holdfast's own: that TPM, as the `tcti` of the node attestor `tpm`.", {
      fallback: "`/dev/tpmrm0`, else `/dev/tpm0`",
    }),
    allow_unauthenticated_verifiers: defaulted(flag(), false, "Whether callers without an identity may fetch bundles."),
    allowed_foreign_jwt_claims: defaulted(
      texts(),
      [],
      "Claims that are returned for tokens of other trust domains besides `sub`, `aud` and `exp`.",
    ),
    authorized_delegates: defaulted(
      spiffeIds(),
      [],
      "Who may use the Delegated Identity API; members of the trust domain.",
    ),
    sds: SDS,
    experimental: EXPERIMENTAL,
  },
  "The agent.",
);
