/** A CA over a real datastore, with a fake clock and repeatable randomness. */
import { silentLogger } from "../../src/lib/log.ts";
import type { Random } from "../../src/lib/random.ts";
import { CaManager, type CaManagerDeps } from "../../src/server/ca/manager.ts";
import { MemoryKeyManager } from "../../src/server/ca/memory-key-manager.ts";
import { TD } from "./entries.ts";
import { FakeClock } from "./fake-clock.ts";
import { tempDataStore } from "./temp-datastore.ts";

/** Bytes that repeat from run to run, and never within one. */
export function seededRandom(seed = 1): Random {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  return {
    bytes: (size) => Uint8Array.from({ length: size }, () => next() >>> 24),
    unit: () => next() / 2 ** 32,
  };
}

/** What a `CaManager` needs: a temporary datastore, keys in memory, a CA of a day. */
export async function caDeps(
  change: Partial<CaManagerDeps> = {},
): Promise<CaManagerDeps & { readonly clock: FakeClock }> {
  const clock = new FakeClock();
  const { store } = await tempDataStore(clock);
  const subject = { country: ["US"], organization: ["SPIFFE"], commonName: "" };
  return {
    store,
    keys: new MemoryKeyManager(),
    random: seededRandom(),
    log: silentLogger,
    profile: { trustDomain: TD, subject, ttlMs: 24 * 60 * 60 * 1000 },
    keyType: "ec-p256",
    ...change,
    clock,
  };
}

/** A manager with its first authority. */
export async function readyCa(
  change: Partial<CaManagerDeps> = {},
): Promise<{ readonly ca: CaManager; readonly deps: Awaited<ReturnType<typeof caDeps>> }> {
  const deps = await caDeps(change);
  const ca = new CaManager(deps);
  await ca.initialize();
  return { ca, deps };
}

/** Activates the CA that is prepared. */
export function activateNext({ x509 }: CaManager): ReturnType<typeof x509.activate> {
  return x509.activate(x509.states.prepared?.authorityId ?? "none");
}
