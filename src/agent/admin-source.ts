/** What administrators are told of the agent: facts that its parts hold, read when somebody asks. */
import type { AdminSource, AgentFacts, HeldBundles, IdentityFacts } from "../agent-admin/ports.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { Lifetime } from "../spiffe/rotation.ts";
import type { AgentState } from "./agent-state.ts";
import type { AgentHealth } from "./health.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import type { SvidCache } from "./svid-cache.ts";

/** Where the facts are. */
export interface AdminSourceParts {
  readonly health: AgentHealth;
  readonly cache: SvidCache;
  readonly jwts: JwtSvids;
  readonly outageBudgetMs: number;
}

/** Changes nothing. */
export class AgentAdminSource implements AdminSource {
  readonly #parts: AdminSourceParts;
  /** Set once the storage is open. */
  storage: AgentFacts["storage"] = "memory";
  /** Set once the agent has attested or started with a stored SVID. */
  state: Pick<AgentState, "identity" | "bundle"> | undefined;

  constructor(parts: AdminSourceParts) {
    this.#parts = parts;
  }

  facts(): AgentFacts {
    const { health, cache, jwts, outageBudgetMs } = this.#parts;
    const { serving, connected, watching, lastSyncAt, problems } = health.facts.value;
    const svid = this.state?.identity?.svid;
    const bundle = this.state?.bundle ?? cache.bundle;
    return {
      trustDomain: bundle.trustDomain,
      ...(svid === undefined ? {} : { svid }),
      bundle,
      serving,
      connected,
      watching,
      ...(lastSyncAt === undefined ? {} : { lastSyncAt }),
      problems,
      outageBudgetMs,
      storage: this.storage,
      x509Svids: cache.sizes.svids,
      jwtSvids: jwts.size,
    };
  }

  *identities(): Generator<IdentityFacts> {
    for (const { entry, issued, failed } of this.#parts.cache.entries()) {
      const { entryId, spiffeId } = entry;
      const times =
        issued === undefined
          ? {}
          : { issuedAt: issued.svid.notBefore, expiresAt: issued.svid.notAfter, renewsAt: issued.rotateAt };
      yield { entryId, spiffeId, ...times, failed };
    }
  }

  /** Of the X.509-SVIDs, the agent's own among them. */
  *lives(): Generator<Lifetime> {
    const own = this.state?.identity?.svid;
    if (own !== undefined) yield own;
    for (const { issued } of this.#parts.cache.entries()) if (issued !== undefined) yield issued.svid;
  }

  get bundles(): Watchable<HeldBundles> {
    return this.#parts.cache.bundles;
  }
}
