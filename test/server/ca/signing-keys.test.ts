import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../../src/lib/log.ts";
import { DiskKeyManager } from "../../../src/server/ca/disk-key-manager.ts";
import { decodeJournal } from "../../../src/server/ca/journal.ts";
import { CaManager, type CaManagerDeps } from "../../../src/server/ca/manager.ts";
import { MemoryKeyManager } from "../../../src/server/ca/memory-key-manager.ts";
import { activateNext, caDeps, readyCa } from "../../fakes/ca.ts";
import { bundle, TD } from "../../fakes/entries.ts";
import { tempFolder } from "../../fakes/temp-datastore.ts";

const HOUR = 60 * 60 * 1000;
type Kind = "jwt" | "wit";
const MEMBER = { jwt: "jwtAuthorities", wit: "witAuthorities" } as const;

/** A manager with keys of the kind, and short cuts to them. */
async function ready(kind: Kind, change: Partial<CaManagerDeps> = {}) {
  const { ca, deps } = await readyCa({ [`${kind}KeyType`]: "ec-p256", ...change });
  return { ca, deps, keys: ca[kind]!, published: () => published(deps, kind), journal: () => journal(deps, kind) };
}

async function published({ store }: Pick<CaManagerDeps, "store">, kind: Kind): Promise<string[]> {
  return ((await store.bundles.get(TD))?.[MEMBER[kind]] ?? []).map(({ keyId }) => keyId);
}

async function journal({ store }: Pick<CaManagerDeps, "store">, kind: Kind): Promise<string[]> {
  const entries = decodeJournal((await store.caJournal.load())!, "test")[kind];
  return entries.map(({ slot, status }) => `${slot} ${status}`);
}

describe.each<Kind>(["jwt", "wit"])("keys of kind %s", { timeout: 60_000 }, (kind) => {
  test("are made, published and activated beside the CA", async () => {
    const { ca, keys, deps, ...now } = await ready(kind);
    const active = keys.active.value!;
    expect(active).toMatchObject({ slot: "A", issuedAt: deps.clock.now(), notAfter: deps.clock.now() + 24 * HOUR });
    expect(active.authorityId).toMatch(/^[A-Za-z0-9]{32}$/);
    const stored = (await deps.store.bundles.get(TD))?.[MEMBER[kind]];
    expect(stored).toEqual([
      {
        keyId: active.authorityId,
        publicKey: Uint8Array.from(active.publicKey),
        expiresAt: Math.floor(active.notAfter / 1000),
        tainted: false,
      },
    ]);
    expect(await now.journal()).toEqual(["A active"]);
    expect(ca.health()).toEqual({ ok: true, detail: "" });
  });

  test("are prepared at half life, take over at a sixth, and leave the bundle a day after their end (FED-01, FED-02)", async () => {
    const { ca, keys, deps, ...now } = await ready(kind);
    const controller = new AbortController();
    const done = ca.run(controller.signal);
    onTestFinished(async () => {
      controller.abort();
      await done;
    });
    const { clock } = deps;
    await clock.parked(1);
    const first = keys.active.value!.authorityId;
    await clock.advance(12 * HOUR + 10_000);
    const second = keys.states.prepared!.authorityId;
    expect(await now.published()).toEqual([first, second]);
    expect(keys.active.value?.authorityId).toBe(first);
    await clock.advance(8 * HOUR);
    expect(keys.active.value?.authorityId).toBe(second);
    expect(keys.states.old?.authorityId).toBe(first);
    expect(await now.journal()).toEqual(["A old", "B active"]);
    await clock.advance(26 * HOUR);
    expect(await now.published()).toContain(first);
    await clock.advance(8 * HOUR);
    expect(await now.published()).not.toContain(first);
    expect(await now.published()).toContain(keys.active.value!.authorityId);
  });

  test("go on after a restart, and are made anew without their private halves", async () => {
    const path = join(await tempFolder(), "keys.json");
    const open = () => DiskKeyManager.open({ path, log: silentLogger });
    const { keys, deps, ...now } = await ready(kind, { keys: await open() });
    const active = keys.active.value!.authorityId;
    const { authorityId: prepared } = await keys.prepare();
    const restart = async (change: Partial<CaManagerDeps> = {}) => {
      const again = new CaManager({ ...deps, keys: await open(), ...change });
      await again.initialize();
      return again[kind]!;
    };
    const second = await restart();
    expect(second.states).toMatchObject({ active: { authorityId: active }, prepared: { authorityId: prepared } });
    await second.activate(prepared);
    expect((await restart()).states).toMatchObject({
      active: { authorityId: prepared },
      prepared: undefined,
      old: { authorityId: active },
    });
    const lost = await restart({ keys: new MemoryKeyManager() });
    expect([active, prepared]).not.toContain(lost.active.value?.authorityId);
    expect(await now.published()).toEqual([active, prepared, lost.active.value?.authorityId]);
  });

  test("that the bundle does not have, or under another key, are not used again", async () => {
    const { keys, deps } = await ready(kind);
    const before = keys.active.value!.authorityId;
    const restart = async () => {
      const again = new CaManager(deps);
      await again.initialize();
      return again[kind]!.active.value!.authorityId;
    };
    expect(await restart()).toBe(before);
    const stored = (await deps.store.bundles.get(TD))!;
    const [key] = stored[MEMBER[kind]];
    const foreign = { ...key!, publicKey: new Uint8Array([1]) };
    await deps.store.bundles.set({ ...stored, [MEMBER[kind]]: [foreign] });
    const second = await restart();
    expect(second).not.toBe(before);
    await deps.store.bundles.set(bundle(TD));
    expect([before, second]).not.toContain(await restart());
  });

  test("that fail to rotate make the server unhealthy, and do not stop the CA", async () => {
    let broken = false;
    const memory = new MemoryKeyManager();
    const { ca, keys, deps } = await ready(kind, {
      keys: {
        generateKey: (id, type) =>
          broken && !id.startsWith("x509") ? Promise.reject(new Error("no entropy")) : memory.generateKey(id, type),
        getKey: (id) => memory.getKey(id),
        setAside: () => memory.setAside(),
      },
    });
    const controller = new AbortController();
    const done = ca.run(controller.signal);
    await deps.clock.parked(1);
    broken = true;
    await deps.clock.advance(12 * HOUR + 110_000);
    expect(ca.x509.states.prepared).toBeDefined();
    expect(keys.states.prepared).toBeUndefined();
    expect(ca.health()).toEqual({
      ok: false,
      detail: expect.stringContaining(`the ${kind.toUpperCase()} key could not be rotated`) as string,
    });
    controller.abort();
    await done;
  });
});

test("a journal of the version before is taken over, and gets its first JWT key", async () => {
  const { ca, deps } = await readyCa();
  const body = JSON.stringify({
    x509: [
      {
        slot: "A",
        authorityId: ca.x509.active.value!.authorityId,
        status: "active",
        issuedAt: ca.x509.active.value!.issuedAt,
        notAfter: ca.x509.active.value!.notAfter,
        certificate: Buffer.from(ca.x509.active.value!.ca.certificate).toString("base64"),
      },
    ],
  });
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256").update(body).digest("hex");
  await deps.store.caJournal.save(new TextEncoder().encode(`holdfast-ca-journal 1 ${hash}\n${body}`));
  const again = new CaManager({ ...deps, jwtKeyType: "ec-p256" });
  await again.initialize();
  expect(again.x509.active.value?.authorityId).toBe(ca.x509.active.value!.authorityId);
  expect(await journal(deps, "jwt")).toEqual(["A active"]);
});

test("where JWT-SVIDs are disabled, the journal keeps what it had", async () => {
  const { deps, ca } = await readyCa({ jwtKeyType: "ec-p256" });
  const active = ca.jwt!.active.value!.authorityId;
  const { jwtKeyType: _, ...without } = deps;
  const disabled = new CaManager(without);
  await disabled.initialize();
  expect(disabled.jwt).toBeUndefined();
  await disabled.x509.prepare();
  await activateNext(disabled);
  const again = new CaManager(deps);
  await again.initialize();
  expect(again.jwt?.active.value?.authorityId).toBe(active);
});

test("steps of all kinds share one journal, and none is lost", async () => {
  const deps = await caDeps({ jwtKeyType: "ec-p256", witKeyType: "ec-p256" });
  const ca = new CaManager(deps);
  await ca.initialize();
  await Promise.all([ca.x509.prepare(), ca.jwt!.prepare(), ca.wit!.prepare(), ca.jwt!.prepare()]);
  const stored = decodeJournal((await deps.store.caJournal.load())!, "test");
  const statuses = (entries: readonly { readonly status: string }[]) => entries.map(({ status }) => status).sort();
  expect(statuses(stored.x509)).toEqual(["active", "prepared"]);
  expect(statuses(stored.jwt)).toEqual(["active", "old", "prepared"]);
  expect(statuses(stored.wit)).toEqual(["active", "prepared"]);
});
