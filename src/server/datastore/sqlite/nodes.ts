/** Attested nodes in SQLite. */
import type { ExpressionBuilder, ExpressionWrapper, Kysely, Selectable, SqlBool, Updateable } from "kysely";
import type { SpiffeId } from "../../../spiffe/id.ts";
import type { Selector } from "../../../spiffe/selector.ts";
import type { AttestedNode, AttestedNodeStore, NodeFilter, Page, PageRequest } from "../datastore.ts";
import { hotQuery } from "./hot-query.ts";
import { readPage } from "./paging.ts";
import type { NodeSelectorTable, NodeTable, Schema } from "./schema.ts";
import { selectorTexts, sorted, storedSelector } from "./selectors.ts";
import type { Session } from "./session.ts";
import { matchesSet } from "./set-filter.ts";

type NodeRow = Selectable<NodeTable>;

const rowOf = hotQuery<Pick<NodeRow, "agent_id">, NodeRow>((db, value) =>
  db.selectFrom("nodes").selectAll().where("agent_id", "=", value("agent_id")),
);

const selectorsOf = hotQuery<Pick<NodeSelectorTable, "node">, Pick<NodeSelectorTable, "selector">>((db, value) =>
  db.selectFrom("node_selectors").select("selector").where("node", "=", value("node")),
);

const putRow = hotQuery<Omit<NodeRow, "seq">, Pick<NodeRow, "seq">>((db, value) => {
  const values = {
    agent_id: value("agent_id"),
    attestation_type: value("attestation_type"),
    serial: value("serial"),
    expires_at: value("expires_at"),
    pending_serial: value("pending_serial"),
    pending_expires_at: value("pending_expires_at"),
    can_reattest: value("can_reattest"),
    agent_version: value("agent_version"),
    facts: value("facts"),
  };
  return db
    .insertInto("nodes")
    .values(values)
    .onConflict((conflict) => conflict.column("agent_id").doUpdateSet(values))
    .returning("seq");
});

const clearSelectors = hotQuery<Pick<NodeSelectorTable, "node">>((db, value) =>
  db.deleteFrom("node_selectors").where("node", "=", value("node")),
);

const insertSelector = hotQuery<NodeSelectorTable>((db, value) =>
  db.insertInto("node_selectors").values({ node: value("node"), selector: value("selector") }),
);

export class SqliteNodeStore implements AttestedNodeStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async get(agentId: SpiffeId): Promise<AttestedNode | undefined> {
    return await find(this.#session.read, agentId);
  }

  put(node: AttestedNode): Promise<void> {
    return this.#session.write(async ({ db, event }) => {
      const { agentId, selectors, ...fields } = node;
      const [row] = await putRow(db, { agent_id: agentId, ...allColumns(fields) });
      if (row === undefined) throw new Error("a row that was just stored is gone");
      await replaceSelectors(db, row.seq, selectors);
      event("node", agentId);
    });
  }

  update(agentId: SpiffeId, change: Partial<Omit<AttestedNode, "agentId">>): Promise<boolean> {
    return this.#session.write(async ({ db, event }) => {
      const row = await db.selectFrom("nodes").select("seq").where("agent_id", "=", agentId).executeTakeFirst();
      if (row === undefined) return false;
      const values = columns(change);
      if (Object.keys(values).length > 0) {
        await db.updateTable("nodes").set(values).where("seq", "=", row.seq).execute();
      }
      if (change.selectors !== undefined) await replaceSelectors(db, row.seq, change.selectors);
      event("node", agentId);
      return true;
    });
  }

  delete(agentId: SpiffeId): Promise<AttestedNode | undefined> {
    return this.#session.write(async ({ db, event }) => {
      const node = await find(db, agentId);
      if (node === undefined) return undefined;
      await db.deleteFrom("nodes").where("agent_id", "=", agentId).execute();
      event("node", agentId);
      return node;
    });
  }

  async list(filter: NodeFilter, page: PageRequest): Promise<Page<AttestedNode>> {
    const db = this.#session.read;
    return await readPage(
      page,
      (after, limit) =>
        db
          .selectFrom("nodes")
          .selectAll()
          .where((eb) => matches(eb, filter))
          .where("seq", ">", after)
          .orderBy("seq")
          .limit(limit)
          .execute(),
      (rows) => loadNodes(db, rows),
    );
  }

  async count(filter: NodeFilter): Promise<number> {
    const row = await this.#session.read
      .selectFrom("nodes")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .where((eb) => matches(eb, filter))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  prune(expiredBefore: number, includeNonReattestable: boolean, limit: number): Promise<readonly SpiffeId[]> {
    return this.#session.write(async ({ db, event }) => {
      let query = db
        .selectFrom("nodes")
        .select(["seq", "agent_id"])
        .where("expires_at", "<", expiredBefore)
        .where("serial", "<>", "");
      if (!includeNonReattestable) query = query.where("can_reattest", "=", 1);
      const expired = await query.orderBy("expires_at").limit(limit).execute();
      for (const { seq, agent_id } of expired) {
        await db.deleteFrom("nodes").where("seq", "=", seq).execute();
        event("node", agent_id);
      }
      return expired.map((row) => row.agent_id as SpiffeId);
    });
  }
}

function matches(
  eb: ExpressionBuilder<Schema, "nodes">,
  filter: NodeFilter,
): ExpressionWrapper<Schema, "nodes", SqlBool> {
  const conditions = [];
  if (filter.attestationType !== undefined) conditions.push(eb("attestation_type", "=", filter.attestationType));
  if (filter.banned !== undefined) conditions.push(eb("serial", filter.banned ? "=" : "<>", ""));
  if (filter.canReattest !== undefined) conditions.push(eb("can_reattest", "=", Number(filter.canReattest)));
  if (filter.expiresBefore !== undefined) conditions.push(eb("expires_at", "<", filter.expiresBefore));
  if (filter.selectors !== undefined) {
    const { set, match } = filter.selectors;
    conditions.push(matchesSet("node_selectors", selectorTexts(set), match));
  }
  return eb.and(conditions);
}

type NodeFields = Omit<AttestedNode, "agentId" | "selectors">;

function allColumns(fields: NodeFields): Omit<NodeRow, "seq" | "agent_id"> {
  return {
    attestation_type: fields.attestationType,
    serial: fields.serial,
    expires_at: fields.expiresAt,
    pending_serial: fields.pendingSerial,
    pending_expires_at: fields.pendingExpiresAt,
    can_reattest: Number(fields.canReattest),
    agent_version: fields.agentVersion,
    facts: JSON.stringify(fields.facts),
  };
}

/** Only the columns that change. */
function columns(change: Partial<NodeFields>): Updateable<NodeTable> {
  return {
    ...(change.attestationType !== undefined && { attestation_type: change.attestationType }),
    ...(change.serial !== undefined && { serial: change.serial }),
    ...(change.expiresAt !== undefined && { expires_at: change.expiresAt }),
    ...(change.pendingSerial !== undefined && { pending_serial: change.pendingSerial }),
    ...(change.pendingExpiresAt !== undefined && { pending_expires_at: change.pendingExpiresAt }),
    ...(change.canReattest !== undefined && { can_reattest: Number(change.canReattest) }),
    ...(change.agentVersion !== undefined && { agent_version: change.agentVersion }),
    ...(change.facts !== undefined && { facts: JSON.stringify(change.facts) }),
  };
}

async function replaceSelectors(db: Kysely<Schema>, seq: number, selectors: readonly Selector[]): Promise<void> {
  await clearSelectors(db, { node: seq });
  for (const selector of selectorTexts(selectors)) await insertSelector(db, { node: seq, selector });
}

async function find(db: Kysely<Schema>, agentId: SpiffeId): Promise<AttestedNode | undefined> {
  const [row] = await rowOf(db, { agent_id: agentId });
  if (row === undefined) return undefined;
  const selectors = await selectorsOf(db, { node: row.seq });
  return nodeOf(
    row,
    selectors.map(({ selector }) => storedSelector(selector)),
  );
}

async function loadNodes(db: Kysely<Schema>, rows: readonly NodeRow[]): Promise<readonly AttestedNode[]> {
  if (rows.length === 0) return [];
  const selectors = new Map<number, Selector[]>(rows.map((row) => [row.seq, []]));
  const found = await db
    .selectFrom("node_selectors")
    .select(["node", "selector"])
    .where("node", "in", [...selectors.keys()])
    .execute();
  for (const row of found) selectors.get(row.node)?.push(storedSelector(row.selector));
  return rows.map((row) => nodeOf(row, selectors.get(row.seq) ?? []));
}

function nodeOf(row: NodeRow, selectors: readonly Selector[]): AttestedNode {
  return {
    agentId: row.agent_id as SpiffeId,
    attestationType: row.attestation_type,
    serial: row.serial,
    expiresAt: row.expires_at,
    pendingSerial: row.pending_serial,
    pendingExpiresAt: row.pending_expires_at,
    canReattest: row.can_reattest !== 0,
    agentVersion: row.agent_version,
    selectors: sorted(selectors),
    facts: JSON.parse(row.facts) as AttestedNode["facts"],
  };
}
