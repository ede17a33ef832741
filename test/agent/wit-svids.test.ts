import { describe, expect, test } from "vitest";
import { WitSvids, witTaintCheck } from "../../src/agent/wit-svids.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import { makeSpiffeId } from "../../src/spiffe/id.ts";
import type { WitSvid } from "../../src/spiffe/svid.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { makeKey, witBundle } from "../pki/jwt-tokens.ts";
import { authorized, TD } from "./entries.ts";

const key = makeKey("wit-1");
const MINUTE = 60_000;

/** A store over entries that the test keeps. */
function setUp(...ids: string[]) {
  const clock = new ManualClock();
  const entries = new Map<string, AuthorizedEntry>();
  const cache = { entry: (id: string) => entries.get(id), bundle: witBundle(TD, key) };
  const wits = new WitSvids({ clock, cache });
  const add = (entryId: string, change: Partial<AuthorizedEntry> = {}): AuthorizedEntry => {
    const entry = authorized(entryId, ["unix:uid:1"], change);
    entries.set(entryId, entry);
    return entry;
  };
  const svidOf = ({ spiffeId }: AuthorizedEntry, change: Partial<WitSvid> = {}): WitSvid => {
    const now = clock.now();
    const times = { notBefore: now, notAfter: now + 10 * MINUTE };
    return {
      spiffeId,
      token: "t",
      keyId: "wit-1",
      privateKey: key.privateKey,
      algorithm: "ES256",
      ...times,
      ...change,
    };
  };
  return {
    clock,
    cache,
    wits,
    entries,
    add,
    all: ids.map((id) => add(id)),
    put: (entry: AuthorizedEntry, change: Partial<WitSvid> = {}): void => {
      const svid = svidOf(entry, change);
      wits.put([{ entry, svid, rotateAt: svid.notAfter }]);
    },
    /** IDs of the entries that the signer looks after. */
    followed: (): string[] => [...wits.entries()].map(({ entry }) => entry.entryId),
  };
}

const only = <T>([one]: readonly T[]): T => one as T;

describe("following", () => {
  test("the signer looks after what is followed, and is told when somebody comes first", () => {
    const { wits, all, followed } = setUp("a", "b");
    let wanted = 0;
    const end = wits.onWanted(() => void wanted++);
    expect(followed()).toEqual([]);
    const one = wits.follow(() => {});
    one.look(all);
    one.look(all);
    expect([followed(), wanted]).toEqual([["a", "b"], 1]);
    one.look(all.slice(1));
    expect(followed()).toEqual(["b"]);
    end();
    one.look(all);
    one.close();
    one.close();
    expect([followed(), wanted]).toEqual([[], 1]);
  });

  test("a follower is told once of each change, and of none when it has gone", () => {
    const { wits, all, put } = setUp("a", "b");
    const [a] = all as [AuthorizedEntry];
    let told = 0;
    const follower = wits.follow(() => void told++);
    follower.look(all);
    put(a);
    wits.markFailed(["a", "b"]);
    wits.markFailed(["a", "b"]);
    expect(told).toBe(2);
    expect(follower.look(all).map(({ svid, failed }) => [svid?.token, failed])).toEqual([
      ["t", true],
      [undefined, true],
    ]);
    wits.refused();
    expect(told).toBe(3);
    follower.close();
    put(a);
    expect(told).toBe(3);
  });

  test("what comes after its caller went is there for the next one", () => {
    const { wits, all, put } = setUp("a");
    const follower = wits.follow(() => {});
    follower.look(all);
    follower.close();
    put(only(all));
    expect(wits.size).toBe(1);
    expect(only(wits.follow(() => {}).look(all)).svid?.token).toBe("t");
  });

  test("those that nobody follows are bounded; the one that waited longest goes", () => {
    const { wits, add, put } = setUp();
    for (let i = 0; i < 1_100; i++) {
      const entry = add(`e${i}`);
      const follower = wits.follow(() => {});
      follower.look([entry]);
      put(entry);
      follower.close();
    }
    expect(wits.size).toBe(1_024);
    const late = wits.follow(() => {}).look([add("e0"), add("e1099")]);
    expect(late.map(({ svid }) => svid?.token)).toEqual([undefined, "t"]);
  });
});

describe("what is handed out", () => {
  test("nothing that expired, nor that no key of the bundle verifies", async () => {
    const { wits, all, put, clock, cache } = setUp("a");
    const look = () => only(wits.follow(() => {}).look(all)).svid?.token;
    look();
    put(only(all));
    expect(look()).toBe("t");
    cache.bundle = witBundle(TD, makeKey("wit-2"));
    expect(look()).toBeUndefined();
    cache.bundle = witBundle(TD, key);
    await clock.advance(10 * MINUTE);
    expect(look()).toBeUndefined();
  });

  test("nothing of an entry that went or names another ID", () => {
    const { wits, all, put, add, entries, followed } = setUp("a");
    const entry = only(all);
    const follower = wits.follow(() => {});
    follower.look(all);
    put(entry);
    const renamed = add("a", { spiffeId: makeSpiffeId(TD, "/other") });
    expect(only(follower.look([renamed])).svid).toBeUndefined();
    put(entry);
    expect(followed()).toEqual(["a"]);
    expect(wits.size).toBe(0);
    put(renamed);
    entries.clear();
    expect(followed()).toEqual([]);
    expect(wits.size).toBe(0);
  });

  test("nothing after the agent stopped serving", () => {
    const { wits, all, put } = setUp("a", "b");
    const [a, b] = all as [AuthorizedEntry, AuthorizedEntry];
    const [stays, goes] = [wits.follow(() => {}), wits.follow(() => {})];
    stays.look([a]);
    goes.look([b]);
    put(a);
    put(b);
    goes.close();
    wits.clear();
    expect([wits.size, only(stays.look([a])).svid]).toEqual([0, undefined]);
  });
});

test("a refusal holds for its connection and for a minute", async () => {
  const { wits, all, clock, followed } = setUp("a");
  const generation = { value: 1 };
  wits.refusal.generation = generation;
  const follower = wits.follow(() => {});
  follower.look(all);
  wits.refused();
  expect([follower.isRefused, followed()]).toEqual([true, []]);
  generation.value = 2;
  expect([follower.isRefused, followed()]).toEqual([false, ["a"]]);
  wits.refused();
  await clock.advance(MINUTE - 1);
  expect(follower.isRefused).toBe(true);
  await clock.advance(1);
  expect(follower.isRefused).toBe(false);
  wits.refused();
  wits.refusal.forget();
  expect(follower.isRefused).toBe(false);
});

test("keys that are tainted or unknown need a new token", () => {
  const tainted = { ...makeKey("old").authority, tainted: true };
  const bundle = { ...witBundle(TD, key), witAuthorities: [tainted, key.authority] };
  const check = witTaintCheck(bundle);
  expect(["wit-1", "old", "gone"].map((keyId) => check({ keyId } as WitSvid))).toEqual([false, true, true]);
});
