/** How what workloads have is kept across restarts. */
export interface StorageConfig {
  readonly protection: "auto" | "tpm" | "credential" | "file" | "memory";
  /** Of the SHA-256 bank, ascending. */
  readonly pcrs: readonly number[];
  /** Absent: the node's TPM. */
  readonly tcti?: string;
}

/** The agent's configuration after parsing, defaults and validation. Durations are in milliseconds. */
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts";
import type { HealthChecksConfig, LogConfig, TelemetryConfig } from "./shared-config.ts";

/** How the agent comes to trust the server before it has a stored bundle. */
export type BootstrapConfig =
  /** `insecure_bootstrap`: takes whatever the server shows the first time. */
  | { readonly kind: "insecure" }
  /** `trust_bundle_path`. */
  | { readonly kind: "file"; readonly path: string; readonly format: "pem" | "spiffe" }
  /** `trust_bundle_url`: `https://`, or `http://` through `unixSocket`. */
  | { readonly kind: "url"; readonly url: string; readonly unixSocket?: string; readonly format: "pem" | "spiffe" };

/** The join token, or the file that holds it (read when it is needed, white space around it ignored). */
export type JoinTokenConfig =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "file"; readonly path: string };

/** Names under which Envoy asks for certificates: the `sds` block. */
export interface SdsConfig {
  readonly defaultSvidName: string;
  readonly defaultBundleName: string;
  readonly defaultAllBundlesName: string;
  readonly disableSpiffeCertValidation: boolean;
}

/** The one enabled `KeyManager` plugin: where the agent's own key lives. */
export type AgentKeyManagerConfig = { readonly name: "disk"; readonly directory: string } | { readonly name: "memory" };

/** `WorkloadAttestor "unix"`. */
export interface UnixWorkloadAttestorConfig {
  readonly name: "unix";
  readonly discoverWorkloadPath: boolean;
  /** Bytes; 0: no limit; negative: never hash. */
  readonly workloadSizeLimit: number;
  /** Whether `unix:path` is given to callers in another mount namespace, whose paths the agent cannot verify. */
  readonly allowOtherMountNamespaces: boolean;
}

/** One enabled `WorkloadAttestor` plugin. */
export type WorkloadAttestorConfig = UnixWorkloadAttestorConfig;

/** What `agent.conf` and the command line say. `NodeAttestor` is what the program's table of node attestors makes. */
export interface AgentConfig<NodeAttestor = unknown> {
  readonly trustDomain: TrustDomain;
  readonly serverAddress: string;
  readonly serverPort: number;
  readonly dataDir: string;
  /** The Workload API's Unix socket. */
  readonly socketPath: string;
  readonly adminSocketPath?: string;
  readonly disableWorkloadApi: boolean;
  readonly disableSdsApi: boolean;
  readonly log: LogConfig;
  /** Selector prefixes (`type:value…`) that may appear in diagnostic logs; empty: none. */
  readonly logSelectors: readonly string[];
  readonly bootstrap: BootstrapConfig;
  readonly joinToken?: JoinTokenConfig;
  /** Type of the keys made for workloads' X.509-SVIDs. */
  readonly workloadKeyType: "ec-p256" | "ec-p384" | "rsa-2048";
  /** Rotate X.509-SVIDs while they still have at least this long to live; absent: half-life rule alone. */
  readonly availabilityTargetMs?: number;
  /** 0 for none. */
  readonly outageBudgetMs: number;
  readonly storage: StorageConfig;
  /** Whether callers without an identity may fetch bundles. */
  readonly allowUnauthenticatedVerifiers: boolean;
  /** Claims of other trust domains' tokens that are returned besides `sub`, `aud` and `exp`. */
  readonly allowedForeignJwtClaims: readonly string[];
  readonly jwtSvidCacheMaxSize: number;
  /** Who may use the Delegated Identity API; members of the agent's own trust domain. */
  readonly authorizedDelegates: readonly SpiffeId[];
  readonly sds: SdsConfig;
  readonly healthChecks: HealthChecksConfig;
  readonly telemetry: TelemetryConfig;
  readonly experimental: {
    readonly syncIntervalMs: number;
    /** Refuse TLS to the server without a post-quantum key exchange. */
    readonly requirePqKem: boolean;
    /** False: use `GetAuthorizedEntries`, for servers that lack the newer call. */
    readonly useSyncAuthorizedEntries: boolean;
    /** Connections to the Workload API's socket at any one time. */
    readonly maxConnections: number;
    /** Of these, of one uid; undefined for half of what there may be. */
    readonly maxConnectionsPerUid: number | undefined;
    /** Calls a second for each set of selectors, by method; methods without a limit are left out. */
    readonly rateLimits: Readonly<Record<string, number>>;
  };
  readonly plugins: {
    /** The one enabled `NodeAttestor` plugin. */
    readonly nodeAttestor: NodeAttestor;
    readonly keyManager: AgentKeyManagerConfig;
    /** At least one, in the order of the file. */
    readonly workloadAttestors: readonly WorkloadAttestorConfig[];
  };
}
