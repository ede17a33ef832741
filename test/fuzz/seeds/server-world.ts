/** What the server's API is served from while it is fuzzed: stores that hold one of each and keep nothing. */

import { holds } from "../../../scripts/fuzz/target.ts";
import type { ServerNodeAttestor } from "../../../src/attestors/node.ts";
import { publicError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import type { Services } from "../../../src/server/api/tables.ts";
import type { AttestedNode, DataStore } from "../../../src/server/datastore/datastore.ts";
import type { AuthorityAdmin, AuthorityState } from "../../../src/server/ports.ts";
import type { RpcContext } from "../../../src/server/rpc-context.ts";
import type { RegistrationEntry } from "../../../src/spiffe/entry.ts";
import { agentId, parseSpiffeId, type TrustDomain } from "../../../src/spiffe/id.ts";
import type { Der } from "../../../src/spiffe/svid.ts";
import { FakeLevel } from "../../fakes/fake-level.ts";
import { CLOCK, OTHER, OWN, OWN_BUNDLE, SAME, still, UPDATE, WORKLOAD } from "./world.ts";
import { LEAF, NOW } from "./x509.ts";

/** The agent that calls, and is asked about. */
export const AGENT = agentId(OWN, "fuzz", "1");

const ENTRY: RegistrationEntry = {
  entryId: "entry-1",
  spiffeId: WORKLOAD,
  parentId: AGENT,
  selectors: [{ type: "unix", value: "uid:0" }],
  federatesWith: [OTHER],
  x509SvidTtl: 60,
  jwtSvidTtl: 60,
  dnsNames: ["a.example.org"],
  admin: false,
  downstream: false,
  storeSvid: false,
  hint: "h",
  expiresAt: 0,
  createdAt: 1,
  revision: 2n,
  disableX509SvidPrefetch: false,
  jwtSvidIncludeJti: true,
};
const NODE: AttestedNode = {
  agentId: AGENT,
  attestationType: "fuzz",
  serial: "7",
  expiresAt: NOW / 1_000 + 60,
  pendingSerial: "",
  pendingExpiresAt: 0,
  canReattest: false,
  agentVersion: "1",
  selectors: [],
  facts: { a: "b" },
};

/** Everything that goes into the database is as its columns have it. */
function storable<T>(value: T): T {
  const look = (one: unknown): void => {
    if (typeof one === "string")
      holds(one.isWellFormed() && one.length <= 70_000, "a stored text is text, and bounded");
    if (typeof one === "number") holds(Number.isSafeInteger(one), "a stored number is whole and exact");
    if (typeof one === "bigint") holds(one >= 0n && one < 2n ** 64n, "a stored revision has 64 bits");
    if (typeof one === "object" && one !== null && !(one instanceof Uint8Array)) Object.values(one).forEach(look);
  };
  look(value);
  return value;
}

/** The answer to a call that stores something. */
function after<T>(stored: unknown, answer: T): T {
  storable(stored);
  return answer;
}

const stores = {
  name: "fuzz",
  entries: {
    create: async (entry: RegistrationEntry) => ({ entry: storable(entry), created: true }),
    get: async (id: string) => (storable(id) === ENTRY.entryId ? ENTRY : undefined),
    getMany: async () => [ENTRY],
    update: async (entry: RegistrationEntry) => storable(entry),
    delete: async (id: string) => (storable(id) === ENTRY.entryId ? ENTRY : undefined),
    list: async (...asked: unknown[]) => after(asked, { items: [ENTRY], nextToken: "" }),
    count: async (...asked: unknown[]) => after(asked, 1),
    prune: async () => [],
  },
  nodes: {
    get: async (id: string) => (storable(id) === AGENT ? NODE : undefined),
    put: async (node: AttestedNode) => void storable(node),
    update: async (id: string, change: object) => after([id, change], id === AGENT),
    delete: async (id: string) => (storable(id) === AGENT ? NODE : undefined),
    list: async (...asked: unknown[]) => after(asked, { items: [NODE], nextToken: "" }),
    count: async (...asked: unknown[]) => after(asked, 1),
    prune: async () => [],
  },
  bundles: {
    get: async (domain: TrustDomain) => (domain === OWN ? OWN_BUNDLE : UPDATE.federatedBundles.get(storable(domain))),
    list: async (...asked: unknown[]) => after(asked, { items: [...UPDATE.federatedBundles.values()], nextToken: "" }),
    set: async (bundle: unknown) => storable(bundle),
    append: async (bundle: unknown) => storable(bundle),
    delete: async (domain: TrustDomain) => storable(domain) === OTHER,
    count: async () => 2,
  },
  joinTokens: {
    create: async (...asked: unknown[]) => void storable(asked),
    consume: async () => undefined,
    prune: async () => 0,
  },
  transaction: async <T>(work: (tx: DataStore) => Promise<T>): Promise<T> => await work(datastore),
};
const datastore = stores as unknown as DataStore;

const STATE: AuthorityState = { authorityId: "a", notAfter: NOW };
const AUTHORITY: AuthorityAdmin = {
  states: { active: STATE, prepared: undefined, old: STATE },
  prepare: async () => STATE,
  activate: async (id) => known(id),
  taint: async (id) => known(id),
  revoke: async (id) => (id === "x" ? undefined : known(id)),
};

function known(id: string): AuthorityState {
  if (id !== STATE.authorityId) throw publicError("INVALID_ARGUMENT", "no such authority");
  return STATE;
}

/** Asks once, and believes the answer. */
/** One that says nothing of its tokens. */
const PLAIN: RegistrationEntry = { ...ENTRY, entryId: "plain", jwtSvidTtl: 0, jwtSvidIncludeJti: false };

const ATTESTOR: ServerNodeAttestor = {
  name: "fuzz",
  async attest({ payload }, challenge) {
    const answer = await challenge(payload);
    if (answer.length === 0) throw publicError("PERMISSION_DENIED", "no answer");
    return { agentId: parseSpiffeId(AGENT), selectors: [{ type: "fuzz", value: "1" }], canReattest: true };
  },
};
const issued = { chain: [LEAF as unknown as Der], notAfter: NOW + 60_000, serial: "1" };
const token = { token: "a.b.c", issuedAt: NOW / 1_000, expiresAt: NOW / 1_000 + 60 };

/** All services. Watch streams are not among what is called. */
export const SERVICES: Services = {
  clock: CLOCK,
  log: silentLogger,
  random: SAME,
  trustDomain: OWN,
  datastore,
  agentIdAsSelector: true,
  outageBudgetMs: 7_200_000,
  jwtReserve: { maxAudiences: 64, lifeMs: 9_000_000 },
  attestors: new Map([[ATTESTOR.name, ATTESTOR]]),
  issuer: {
    issueAgentSvid: async () => issued,
    issueWorkloadSvid: async (request) => after([request.dnsNames, request.ttl, request.subject], issued),
  },
  jwtIssuer: { issueJwtSvid: async (request) => after(request, token) },
  witIssuer: { issueWitSvid: async (request) => after(request, token) },
  authorities: { x509: AUTHORITY, jwt: AUTHORITY, wit: AUTHORITY },
  entries: {
    of: async () => [ENTRY],
    lookup: async (_agent, ids) =>
      new Map([ENTRY, PLAIN].flatMap((one) => (ids.has(one.entryId) ? [[one.entryId, one]] : []))),
  },
  index: { revisions: () => ({ entries: 1n, bundles: 1n }) },
  hub: undefined as never,
  svid: still(UPDATE.identities[0]?.svid),
  logLevel: new FakeLevel(),
  check: async () => {},
};

/** A call by the agent, which may do everything here; what goes wrong is kept. */
export function contextOf(method: string): RpcContext & { readonly failures: readonly unknown[] } {
  const failures: unknown[] = [];
  return {
    method,
    caller: {
      kind: "tls",
      address: "192.0.2.1",
      port: 1,
      svid: { spiffeId: AGENT, serial: "7", notAfter: NOW + 1_000 },
    },
    authorized: { as: "agent", via: "datastore", agentId: AGENT, node: NODE },
    reauthorize: async () => {},
    rateLimit: async () => {},
    audit: () => {},
    auditItem: () => {},
    failed: (error) => void failures.push(error),
    failures,
  };
}
