/** Every key of the `server` section that this version implements. */
import { defaulted, optional, optionalSection, required, section } from "./keys.ts";
import { LOG_KEYS, outageBudget } from "./shared-keys.ts";
import {
  choice,
  choices,
  duration,
  flag,
  integer,
  path,
  port,
  spiffeIds,
  text,
  texts,
  trustDomain,
  words,
} from "./values.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const KEY_TYPES = words("ec-p256", "ec-p384", "rsa-2048", "rsa-4096");

/** TTLs that stand when the file sets none. */
export const DEFAULT_X509_SVID_TTL_MS = 6 * HOUR_MS;

const EXPERIMENTAL = section(
  {
    cache_reload_interval: defaulted(
      duration(10),
      5 * SECOND_MS,
      "How often entries are looked up that another process changed in the database.",
    ),
    prune_events_older_than: defaulted(
      duration(MINUTE_MS),
      12 * HOUR_MS,
      "Age at which records of changes are deleted.",
    ),
    require_pq_kem: defaulted(flag(), false, "Whether TLS must use a post-quantum key exchange."),
    agent_spiffe_id_as_selector: defaulted(flag(), false, "Whether each agent has its own ID as a selector."),
    feature_flags: defaulted(
      choices(words("wit-svid")),
      [],
      "What is switched on: with `wit-svid` the server signs WIT-SVIDs and publishes their keys.",
    ),
    wit_key_type: optional(choice(KEY_TYPES), "Type of the WIT signing key.", { fallback: "as `ca_key_type`" }),
    wit_issuer: optional(text(), "The `iss` claim of WIT-SVIDs."),
  },
  "Keys that may change.",
);

/** `server { … }`. */
export const SERVER = section(
  {
    trust_domain: required(trustDomain(), "The trust domain that the server is the authority of."),
    data_dir: required(path(), "Folder for what the server keeps."),
    bind_address: defaulted(text("address"), "0.0.0.0", "Address of the TCP listener."),
    bind_port: defaulted(port(), 8081, "Port of the TCP listener."),
    socket_path: defaulted(path(), "/tmp/spire-server/private/api.sock", "The administration API's Unix socket."),
    ...LOG_KEYS,
    ca_ttl: defaulted(duration(MINUTE_MS), 168 * HOUR_MS, "Life of the CA certificate and of the JWT signing key."),
    ca_key_type: defaulted(choice(KEY_TYPES), "ec-p256", "Type of the CA's key."),
    jwt_key_type: optional(choice(KEY_TYPES), "Type of the JWT signing key.", { fallback: "as `ca_key_type`" }),
    ca_subject: optionalSection(
      {
        country: defaulted(texts(), [], "`C` of the subject."),
        organization: defaulted(texts(), [], "`O` of the subject."),
        common_name: optional(text(), "`CN` of the subject."),
      },
      "Subject of the CA certificate; without the block `C=US, O=SPIFFE`.",
    ),
    default_x509_svid_ttl: optional(duration(SECOND_MS), "Life of X.509-SVIDs whose entry sets none.", {
      fallback: "`6h`",
    }),
    default_svid_ttl: optional(duration(SECOND_MS), "Older name of `default_x509_svid_ttl`; not together with it.", {
      warning: "deprecated: use default_x509_svid_ttl",
    }),
    default_jwt_svid_ttl: defaulted(duration(SECOND_MS), 5 * MINUTE_MS, "Life of JWT-SVIDs whose entry sets none."),
    agent_ttl: defaulted(duration(SECOND_MS), 24 * HOUR_MS, "Life of agents' X.509-SVIDs."),
    outage_budget: outageBudget(
      "Holdfast's own: how long the server may be away without a workload noticing. Lives of X.509-SVIDs that cannot cover it are warned of, here and when entries are made; `0` is off.",
    ),
    jwt_issuer: optional(text(), "The `iss` claim of JWT-SVIDs."),
    disable_jwt_svids: defaulted(flag(), false, "Whether JWT-SVIDs are refused."),
    jwt_reserve: section(
      {
        enabled: defaulted(
          flag(),
          false,
          "Whether agents get JWT-SVIDs that live 1.25 times `outage_budget`, to give out while they cannot reach the server.",
        ),
        max_audiences: defaulted(
          integer(1, 64),
          8,
          "For how many audiences an agent may hold such tokens, per identity; those asked for last count.",
        ),
      },
      "Holdfast's own: JWT-SVIDs for the time without a server.",
    ),
    admin_ids: defaulted(spiffeIds(), [], "Callers that are administrators without an entry that says so."),
    audit_log_enabled: defaulted(flag(), false, "Whether every call is logged with its caller and outcome."),
    ratelimit: section(
      {
        attestation: defaulted(flag(), true, "Whether node attestation is limited, per source address."),
        signing: defaulted(flag(), true, "Whether signing is limited, per source address."),
      },
      "Rate limits.",
    ),
    prune_attested_nodes_expired_for: optional(
      duration(SECOND_MS),
      "Nodes whose SVID expired longer ago than this are deleted, banned ones excepted.",
      { fallback: "never" },
    ),
    prune_tofu_nodes: defaulted(flag(), false, "Whether nodes that cannot attest again are deleted as well."),
    experimental: EXPERIMENTAL,
  },
  "The server.",
);
