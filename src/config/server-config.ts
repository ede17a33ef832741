/** The server's configuration after parsing, defaults and validation. Durations are in milliseconds. */
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts";
import type { HealthChecksConfig, LogConfig, TelemetryConfig } from "./shared-config.ts";

/** Key types of authorities. */
export type AuthorityKeyType = "ec-p256" | "ec-p384" | "rsa-2048" | "rsa-4096";

/** Subject of the server's CA certificate: the `ca_subject` block. */
export interface CaSubjectConfig {
  readonly country: readonly string[];
  readonly organization: readonly string[];
  readonly commonName: string;
}

/** `DataStore "sql"`. */
export interface DataStoreConfig {
  readonly name: "sql";
  readonly databaseType: "sqlite3";
  /** The database file; `:memory:` keeps nothing. */
  readonly path: string;
}

/** The one enabled `KeyManager` plugin: where the CA's keys live. */
export type ServerKeyManagerConfig = { readonly name: "disk"; readonly keysPath: string } | { readonly name: "memory" };

/** What `server.conf` and the command line say. `NodeAttestor` is what the program's table of node attestors makes. */
export interface ServerConfig<NodeAttestor = unknown> {
  readonly trustDomain: TrustDomain;
  readonly dataDir: string;
  /** An IP address or host name, without brackets. */
  readonly bindAddress: string;
  readonly bindPort: number;
  /** The administration API's Unix socket. */
  readonly socketPath: string;
  readonly log: LogConfig;
  readonly caTtlMs: number;
  /** 0 for none. */
  readonly outageBudgetMs: number;
  readonly caKeyType: AuthorityKeyType;
  readonly jwtKeyType: AuthorityKeyType;
  readonly caSubject: CaSubjectConfig;
  readonly defaultX509SvidTtlMs: number;
  readonly defaultJwtSvidTtlMs: number;
  readonly agentTtlMs: number;
  /** The `iss` claim of JWT-SVIDs; absent: none. */
  readonly jwtIssuer?: string;
  readonly disableJwtSvids: boolean;
  /** JWT-SVIDs that agents keep for the time without a server; absent: none. */
  readonly jwtReserve?: { readonly maxAudiences: number; readonly lifeMs: number };
  /** Callers that are administrators without an entry that says so. */
  readonly adminIds: readonly SpiffeId[];
  readonly auditLogEnabled: boolean;
  /** Per source address; see the manual for the rates. */
  readonly rateLimit: { readonly attestation: boolean; readonly signing: boolean };
  /** Nodes whose SVID expired longer ago than this are deleted; absent: never. */
  readonly pruneAttestedNodesExpiredForMs?: number;
  /** Whether pruning takes nodes that cannot attest again (trust on first use) as well. */
  readonly pruneTofuNodes: boolean;
  readonly healthChecks: HealthChecksConfig;
  readonly telemetry: TelemetryConfig;
  readonly experimental: {
    readonly cacheReloadIntervalMs: number;
    readonly pruneEventsOlderThanMs: number;
    /** Refuse TLS without a post-quantum key exchange. */
    readonly requirePqKem: boolean;
    /** Gives each agent a `spiffe_id` selector with its own ID. */
    readonly agentSpiffeIdAsSelector: boolean;
    /** Type of the keys that sign WIT-SVIDs; absent: none are signed. */
    readonly witKeyType?: AuthorityKeyType;
    /** The `iss` claim of WIT-SVIDs; absent: none. */
    readonly witIssuer?: string;
  };
  readonly plugins: {
    readonly dataStore: DataStoreConfig;
    readonly keyManager: ServerKeyManagerConfig;
    /** In the order of the file; may be empty (join tokens work all the same, as in SPIRE). */
    readonly nodeAttestors: readonly NodeAttestor[];
  };
}
