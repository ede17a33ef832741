import { readdir, readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { AgentError } from "../../../src/lib/errors.ts";
import { type Logger, silentLogger } from "../../../src/lib/log.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import type { KeyType } from "../../../src/pki/keys.ts";
import { DiskKeyManager } from "../../../src/server/ca/disk-key-manager.ts";
import { decodeJournal } from "../../../src/server/ca/journal.ts";
import type { KeyManager } from "../../../src/server/ca/key-manager.ts";
import { CaManager, type CaManagerDeps } from "../../../src/server/ca/manager.ts";
import { MemoryKeyManager } from "../../../src/server/ca/memory-key-manager.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { activateNext, caDeps, readyCa, seededRandom } from "../../fakes/ca.ts";
import { bundle, TD } from "../../fakes/entries.ts";
import type { FakeClock } from "../../fakes/fake-clock.ts";
import { tempFolder } from "../../fakes/temp-datastore.ts";

const HOUR = 60 * 60 * 1000;
type Deps = Awaited<ReturnType<typeof caDeps>>;

/** The certificates in the stored bundle, as hex of their subject key identifiers. */
async function published(deps: Pick<CaManagerDeps, "store">): Promise<string[]> {
  const stored = await deps.store.bundles.get(TD);
  return (stored?.x509Authorities ?? []).map((authority) =>
    Buffer.from(parseCertificate(authority.certificate).subjectKeyId ?? []).toString("hex"),
  );
}

async function journal(deps: Pick<CaManagerDeps, "store">): Promise<string[]> {
  const data = await deps.store.caJournal.load();
  return data === undefined ? [] : decodeJournal(data, "test").x509.map((entry) => `${entry.slot} ${entry.status}`);
}

/** Runs the manager until the test ends. */
async function running(ca: CaManager, clock: FakeClock): Promise<void> {
  const controller = new AbortController();
  const done = ca.run(controller.signal);
  onTestFinished(async () => {
    controller.abort();
    await done;
  });
  await clock.parked(1);
}

/** Moves on in steps of an hour, so that ticks are few: every tick in it is run. */
async function hours(clock: FakeClock, count: number): Promise<void> {
  await clock.advance(count * HOUR);
}

describe("the first run", () => {
  test("makes, publishes and activates an authority before anything else (ID-17, ID-18, FED-01)", async () => {
    const { ca, deps } = await readyCa();
    const active = ca.x509.active.value;
    expect(active).toMatchObject({ slot: "A", issuedAt: deps.clock.now(), notAfter: deps.clock.now() + 24 * HOUR });
    expect(await published(deps)).toEqual([active?.authorityId]);
    expect(await journal(deps)).toEqual(["A active"]);
    expect(ca.health()).toEqual({ ok: true, detail: "" });
    const certificate = parseCertificate(active!.ca.certificate);
    expect(certificate.uriSans).toEqual(["spiffe://example.org"]);
    expect(certificate.subject.text).toBe(`SERIALNUMBER=${certificate.serial},O=SPIFFE,C=US`);
    expect(certificate.notBefore).toBe(deps.clock.now() - 10_000);
  });

  test.each<KeyType>(["ec-p256", "ec-p384", "rsa-2048", "rsa-4096"])(
    "with a key of type %s",
    { timeout: 60_000 },
    async (keyType) => {
      const { ca } = await readyCa({ keyType });
      const algorithm = { "ec-p256": "ecdsa-sha256", "ec-p384": "ecdsa-sha384" }[keyType as "ec-p256"] ?? "rsa-sha256";
      expect(ca.x509.active.value?.ca.signer.algorithm).toBe(algorithm);
    },
  );

  test("fails when it cannot be stored, and publishes nothing", async () => {
    const deps = await caDeps();
    await deps.store.caJournal.save(new TextEncoder().encode("damaged"));
    await expect(new CaManager(deps).initialize()).rejects.toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining(deps.store.name),
    });
    expect(await published(deps)).toEqual([]);
    const broken: KeyManager = {
      generateKey: () => Promise.reject(new AgentError("UNAVAILABLE", "disk full")),
      getKey: async () => undefined,
      setAside: async () => undefined,
    };
    await expect(new CaManager(await caDeps({ keys: broken })).initialize()).rejects.toThrow("disk full");
  });
});

describe("a life of three days", { timeout: 60_000 }, () => {
  test("prepares at half life, activates at a sixth, and the bundle forgets a day after the end (FED-01, FED-02)", async () => {
    const { ca, deps } = await readyCa();
    const { clock } = deps;
    await running(ca, clock);
    const first = ca.x509.active.value!.authorityId;
    await hours(clock, 12);
    expect(ca.x509.states.prepared).toBeUndefined();
    await clock.advance(10_000);
    const second = ca.x509.states.prepared!.authorityId;
    expect(ca.x509.active.value?.authorityId).toBe(first);
    expect(await published(deps)).toEqual([first, second]);
    expect(await journal(deps)).toEqual(["A active", "B prepared"]);
    await hours(clock, 8);
    expect(ca.x509.active.value?.authorityId).toBe(second);
    expect(ca.x509.states).toMatchObject({
      active: { authorityId: second },
      prepared: undefined,
      old: { authorityId: first },
    });
    expect(await journal(deps)).toEqual(["A old", "B active"]);
    await hours(clock, 5);
    const third = ca.x509.states.prepared!.authorityId;
    expect(await published(deps)).toEqual([first, second, third]);
    expect(await journal(deps)).toEqual(["A old", "B active", "A prepared"]);
    // The first ended at 24 h, and was kept until 48 h; the look at 54 h takes it out.
    await hours(clock, 47 - 25);
    expect(await published(deps)).toContain(first);
    await hours(clock, 8);
    expect(await published(deps)).not.toContain(first);
    expect(await published(deps)).toContain(ca.x509.active.value!.authorityId);
  });

  test("the bundle says how often to look at it, also one of before it was said (BDL-06, BDL-07)", async () => {
    const { ca, deps } = await readyCa();
    const hint = async (): Promise<number | undefined> => (await deps.store.bundles.get(TD))?.refreshHint;
    expect(await hint()).toBe(300);
    await deps.store.bundles.set({ ...(await deps.store.bundles.get(TD))!, refreshHint: 0 });
    await ca.x509.prepare();
    expect(await hint()).toBe(300);
  });

  test("the sequence of the bundle grows with each change only (BDL-04, BDL-05)", async () => {
    const { ca, deps } = await readyCa();
    await running(ca, deps.clock);
    const sequence = async (): Promise<bigint | undefined> => (await deps.store.bundles.get(TD))?.sequence;
    expect(await sequence()).toBe(1n);
    await hours(deps.clock, 11);
    expect(await sequence()).toBe(1n);
    await hours(deps.clock, 2);
    expect(await sequence()).toBe(2n);
  });

  test("watchers see each authority that takes over", async () => {
    const { ca, deps } = await readyCa();
    const seen: (string | undefined)[] = [];
    ca.x509.active.subscribe((authority) => seen.push(authority?.authorityId));
    const { authorityId } = await ca.x509.prepare();
    expect(seen).toEqual([]);
    await activateNext(ca);
    expect(seen).toEqual([authorityId]);
    expect(deps.clock.sleepers).toBe(0);
  });
});

describe("by hand", () => {
  test("prepare replaces what is prepared, and activate needs it", async () => {
    const { ca, deps } = await readyCa();
    await expect(activateNext(ca)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await ca.x509.prepare();
    const { authorityId } = await ca.x509.prepare();
    expect(ca.x509.states.prepared?.authorityId).toBe(authorityId);
    expect(await journal(deps)).toEqual(["A active", "B old", "B prepared"]);
    expect(await published(deps)).toHaveLength(3);
    expect((await activateNext(ca)).authorityId).toBe(authorityId);
    expect(ca.x509.active.value?.slot).toBe("B");
    expect((await ca.x509.prepare()).authorityId).not.toBe(authorityId);
  });

  test("steps asked for at once are taken one after the other", async () => {
    const { ca, deps } = await readyCa();
    await ca.x509.prepare();
    const outcomes = await Promise.allSettled([activateNext(ca), activateNext(ca), ca.x509.prepare()]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await journal(deps)).toEqual(["A old", "B active", "A prepared"]);
  });

  test("the journal keeps ten", async () => {
    const { ca, deps } = await readyCa();
    for (let count = 0; count < 12; count++) await ca.x509.prepare();
    expect(await journal(deps)).toHaveLength(10);
  });
});

describe("a restart", () => {
  /** A key file and what goes with it. */
  async function onDisk(): Promise<{
    deps: Deps;
    path: string;
    restart: (change?: Partial<CaManagerDeps>) => Promise<CaManager>;
  }> {
    const path = join(await tempFolder(), "keys.json");
    const deps = await caDeps({ keys: await DiskKeyManager.open({ path, log: silentLogger }) });
    await new CaManager(deps).initialize();
    const restart = async (change: Partial<CaManagerDeps> = {}): Promise<CaManager> => {
      const ca = new CaManager({ ...deps, keys: await DiskKeyManager.open({ path, log: silentLogger }), ...change });
      await ca.initialize();
      return ca;
    };
    return { deps, path, restart };
  }

  test("goes on with the same authorities and keys", async () => {
    const { deps, restart } = await onDisk();
    const first = await restart();
    const active = first.x509.active.value!;
    const { authorityId } = await first.x509.prepare();
    const second = await restart();
    expect(second.x509.active.value?.ca.certificate).toEqual(active.ca.certificate);
    expect(second.x509.states.prepared?.authorityId).toBe(authorityId);
    await activateNext(second);
    const third = await restart();
    expect(third.x509.active.value?.authorityId).toBe(authorityId);
    expect(third.x509.states.old?.authorityId).toBe(active.authorityId);
    expect(await published(deps)).toHaveLength(2);
  });

  test("without the keys makes a new authority; the old one stays in the bundle", async () => {
    const { deps, restart } = await onDisk();
    const warnings: string[] = [];
    const log: Logger = {
      ...silentLogger,
      warn: (message, fields) => warnings.push(`${message}: ${String(fields?.reason)}`),
    };
    const [before] = await published(deps);
    const ca = await restart({ keys: new MemoryKeyManager(), log });
    expect(ca.x509.active.value?.authorityId).not.toBe(before);
    expect(await published(deps)).toEqual([before, ca.x509.active.value?.authorityId]);
    expect(warnings).toEqual(["X509 CA of the journal is not used: the key manager has no key for it"]);
    expect(await journal(deps)).toEqual(["A old", "A active"]);
  });

  test("with another key in the slot, as after a restored backup, makes a new authority", async () => {
    const { deps, restart } = await onDisk();
    const [before] = await published(deps);
    const keys = new MemoryKeyManager();
    await keys.generateKey("x509-CA-A", "ec-p256");
    expect((await restart({ keys })).x509.active.value?.authorityId).not.toBe(before);
  });

  test("of another trust domain is refused, and loses nothing (BDL-18)", async () => {
    const { deps, restart } = await onDisk();
    const before = await published(deps);
    const other = { ...deps.profile, trustDomain: parseTrustDomain("other.org") };
    await expect(restart({ profile: other })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/belongs to spiffe:\/\/example\.org, and trust_domain is "other\.org"/) as string,
    });
    expect([(await restart()).x509.active.value?.authorityId]).toEqual(before);
  });

  test("with an empty datastore, by mistake, keeps the keys of the other one", async () => {
    const { deps, path, restart } = await onDisk();
    const before = await published(deps);
    const keys = await readFile(path);
    const warn = vi.fn<Logger["warn"]>();
    await restart({ store: (await caDeps()).store, log: { ...silentLogger, warn } });
    const { path: kept } = (warn.mock.calls[0]?.[1] ?? {}) as { path: string };
    expect(await readFile(kept)).toEqual(keys);
    await rename(kept, path);
    expect([(await restart()).x509.active.value?.authorityId]).toEqual(before);
    // A CA that is over leaves keys that nobody needs.
    await deps.clock.advance(100 * HOUR);
    await restart();
    expect(await readdir(dirname(path))).toEqual([basename(path)]);
  });

  test("with an authority that the bundle does not have makes a new one", async () => {
    const { deps, restart } = await onDisk();
    const [before] = await published(deps);
    await deps.store.bundles.set(bundle(TD));
    const ca = await restart();
    expect(ca.x509.active.value?.authorityId).not.toBe(before);
    expect(await published(deps)).toEqual([ca.x509.active.value?.authorityId]);
  });

  test("after the end of the authority makes a new one, or takes the prepared one", async () => {
    const { deps, restart } = await onDisk();
    await deps.clock.advance(20 * HOUR);
    const prepared = (await restart()).x509.states.prepared?.authorityId;
    const active = (await restart()).x509.active.value?.authorityId;
    await deps.clock.advance(5 * HOUR);
    const ca = await restart();
    expect(prepared).toBeDefined();
    expect(ca.x509.active.value?.authorityId).toBe(prepared);
    await deps.clock.advance(100 * HOUR);
    const last = await restart();
    expect([undefined, prepared, active]).not.toContain(last.x509.active.value?.authorityId);
    expect(last.health().ok).toBe(true);
  });

  test("in the middle of a preparation loses nothing that signs", async () => {
    const { deps, restart } = await onDisk();
    const failing: Deps["store"] = Object.assign(Object.create(deps.store) as Deps["store"], {
      name: deps.store.name,
      bundles: deps.store.bundles,
      caJournal: deps.store.caJournal,
      transaction: () => Promise.reject(new AgentError("UNAVAILABLE", "power cut")),
    });
    const before = await restart({ store: failing });
    await expect(before.x509.prepare()).rejects.toThrow("power cut");
    const after = await restart();
    expect(after.x509.active.value?.authorityId).toBe(before.x509.active.value?.authorityId);
    expect(after.x509.states.prepared).toBeUndefined();
    await after.x509.prepare();
    await activateNext(after);
  });
});

describe("failing rotations", { timeout: 60_000 }, () => {
  test("are tried again, make the server unhealthy after ten, and recover", async () => {
    let broken = false;
    const keys = new MemoryKeyManager();
    const generateKey: KeyManager["generateKey"] = (id, type) =>
      broken ? Promise.reject(new Error("no entropy")) : keys.generateKey(id, type);
    const { ca, deps } = await readyCa({
      keys: { generateKey, getKey: (id) => keys.getKey(id), setAside: () => keys.setAside() },
    });
    await running(ca, deps.clock);
    await hours(deps.clock, 12);
    broken = true;
    await deps.clock.advance(100_000);
    expect(ca.health().ok).toBe(true);
    await deps.clock.advance(10_000);
    expect(ca.health()).toEqual({ ok: false, detail: expect.stringContaining("11 times") });
    await hours(deps.clock, 12);
    expect(ca.health()).toEqual({ ok: false, detail: expect.stringContaining("expired") });
    broken = false;
    await deps.clock.advance(10_000);
    expect(ca.health()).toEqual({ ok: true, detail: "" });
  });

  test("before the first authority there is no health", async () => {
    expect(new CaManager(await caDeps({ random: seededRandom(2) })).health().ok).toBe(false);
  });
});
