/** What an agent is made of, and how it runs. */
import type { Dispatcher } from "undici";
import type { AgentNodeAttestor } from "../attestors/node.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { Random } from "../lib/random.ts";
import type { KeyType } from "../pki/keys.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { BootstrapSource } from "./bootstrap-bundle.ts";
import type { AttestWorkload } from "./identity-source.ts";
import type { RenewalOptions } from "./renewal-time.ts";
import type { AgentStorage } from "./storage.ts";
import type { StorageKeyKeeper } from "./store/storage-key.ts";

/** What the agent is made of. `Peer` is what the Workload API's listener knows of a connection. */
export interface AgentDeps<Peer> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nodeAttestor: AgentNodeAttestor;
  readonly attestWorkload: AttestWorkload<Peer>;
  /** Absent: a file, as the options say. */
  readonly storage?: AgentStorage;
  /** Keeps the key by which SVIDs are stored; absent: they are kept in memory. */
  readonly storageKey?: StorageKeyKeeper;
  /** Absent: undici with the host's CA certificates. */
  readonly https?: Dispatcher;
}

/** How the agent runs; the members are spelt as in its configuration. */
export interface AgentOptions {
  readonly trustDomain: TrustDomain;
  readonly serverAddress: string;
  readonly serverPort: number;
  readonly dataDir: string;
  /** `disk`: `agent-data.json` with the agent's key lies in `directory`; `memory`: it lies in `dataDir`, without. */
  readonly keyManager: { readonly name: "disk"; readonly directory: string } | { readonly name: "memory" };
  readonly bootstrap: BootstrapSource;
  readonly workloadKeyType: KeyType;
  /** When SVIDs are replaced. */
  readonly renewal: RenewalOptions;
  /** JWT-SVIDs that are kept. */
  readonly jwtSvidCacheMaxSize: number;
  readonly syncIntervalMs: number;
  readonly requirePqKem: boolean;
  /** False: use `GetAuthorizedEntries` from the start. Servers without the newer call are found out anyway. */
  readonly useSyncAuthorizedEntries: boolean;
  /** Our own version, for the server's records. */
  readonly version: string;
}
