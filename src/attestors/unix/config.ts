/** What `WorkloadAttestor "unix"` may be told. */

/** Options of the attestor, as SPIRE names them but for the last. */
export interface UnixWorkloadOptions {
  /** `discover_workload_path`: whether `path` and `sha256` are found out. */
  readonly discoverWorkloadPath: boolean;
  /** `workload_size_limit`, bytes: a larger program fails attestation; 0 for no limit, negative for no `sha256`. */
  readonly workloadSizeLimit: number;
  /** Whether `path` is given although the agent finds another file, or none, at that path. */
  readonly allowOtherMountNamespaces: boolean;
}
