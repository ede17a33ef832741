/** Decides for each call whether its caller may make it, by the table in `authz-table.ts`. */
import type { Clock } from "../lib/clock.ts";
import { isAgentId, type SpiffeId } from "../spiffe/id.ts";
import { authorizeAgent } from "./authz-agent.ts";
import { allowedCallers, type CallerKind } from "./authz-table.ts";
import type { Caller, CallerSvid } from "./caller.ts";
import type { AttestedNode, DataStore } from "./datastore/datastore.ts";
import { Refused } from "./refused.ts";

/** As whom a caller was let in, and what showed it (words of SPIRE's audit log). */
export type Authorized =
  | { readonly as: "any" }
  | { readonly as: "local"; readonly via: "transport" }
  | { readonly as: "admin"; readonly via: "config" | "entries" }
  | { readonly as: "downstream"; readonly via: "entries" }
  | { readonly as: "agent"; readonly via: "datastore"; readonly agentId: SpiffeId; readonly node: AttestedNode };

/** What `Authorizer` needs. */
export interface AuthorizerDeps {
  readonly clock: Clock;
  readonly datastore: Pick<DataStore, "entries" | "nodes" | "transaction">;
  /** Callers that are administrators without an entry that says so. */
  readonly adminIds: ReadonlySet<SpiffeId>;
}

/** Entries of one SPIFFE ID that are read at a time. */
const PAGE = 500;

/** Authorizes calls. Nothing is remembered between them: a ban or an eviction holds from the next call on. */
export class Authorizer {
  readonly #deps: AuthorizerDeps;

  constructor(deps: AuthorizerDeps) {
    this.#deps = deps;
  }

  /**
   * Lets the caller in or throws: `PERMISSION_DENIED` (for an agent with the reason), `UNAVAILABLE` when the
   * datastore cannot be asked. An agent's renewed SVID becomes its current one by the first call made with it.
   */
  async authorize(method: string, caller: Caller): Promise<Authorized> {
    const allowed = allowedCallers(method);
    if (allowed.includes("any")) return { as: "any" };
    if (caller.kind === "local") {
      if (allowed.includes("local")) return { as: "local", via: "transport" };
      throw denied(method, "the admin socket may not call it");
    }
    const { svid } = caller;
    if (svid === undefined) throw denied(method, "the caller showed no certificate");
    const other = await this.#byNameOrEntry(allowed, svid);
    if (other !== undefined) return other;
    if (allowed.includes("agent")) {
      const node = await authorizeAgent(this.#deps, method, svid);
      return { as: "agent", via: "datastore", agentId: svid.spiffeId, node };
    }
    throw denied(method, "the caller's certificate is expired, or it is neither administrator nor downstream server");
  }

  async #byNameOrEntry(allowed: readonly CallerKind[], svid: CallerSvid): Promise<Authorized | undefined> {
    // A connection may outlive the certificate that opened it.
    if (this.#deps.clock.now() > svid.notAfter) return undefined;
    if (allowed.includes("admin") && this.#deps.adminIds.has(svid.spiffeId)) return { as: "admin", via: "config" };
    // No entry can give an agent's ID away, so agents are spared the query.
    if (isAgentId(svid.spiffeId)) return undefined;
    if (allowed.includes("admin") && (await this.#hasEntry(svid, "admin"))) return { as: "admin", via: "entries" };
    if (allowed.includes("downstream") && (await this.#hasEntry(svid, "downstream"))) {
      return { as: "downstream", via: "entries" };
    }
    return undefined;
  }

  /** Whether one of the entries that give the caller its ID says that it is an administrator, or a downstream server. */
  async #hasEntry(svid: CallerSvid, property: "admin" | "downstream"): Promise<boolean> {
    let token = "";
    do {
      const page = await this.#deps.datastore.entries.list({ spiffeId: svid.spiffeId }, { size: PAGE, token });
      const now = Math.floor(this.#deps.clock.now() / 1000);
      if (page.items.some((entry) => entry[property] && (entry.expiresAt === 0 || entry.expiresAt > now))) return true;
      token = page.nextToken;
    } while (token !== "");
    return false;
  }
}

/** The refusal of a call, worded as SPIRE words it; the reason is for our log. */
function denied(method: string, why: string): Refused {
  return new Refused("PERMISSION_DENIED", `authorization denied for method ${method}: ${why}`, {
    publicMessage: `authorization denied for method ${method}`,
  });
}
