import { expect, onTestFinished, test } from "vitest";
import { systemRandom } from "../../src/lib/random.ts";
import { type PruneOptions, Pruner } from "../../src/server/pruning.ts";
import { entry, id, node } from "../fakes/entries.ts";
import { tempDataStore } from "../fakes/temp-datastore.ts";
import { type Line, recordingLogger } from "./harness.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

async function setup(options: Partial<PruneOptions> = {}) {
  const { store, clock } = await tempDataStore();
  const lines: Line[] = [];
  const pruner = new Pruner(
    { clock, random: systemRandom, log: recordingLogger(lines), datastore: store },
    { tofuNodes: false, eventsOlderThanMs: 12 * HOUR, ...options },
  );
  const controller = new AbortController();
  const running = pruner.run(controller.signal);
  onTestFinished(async () => {
    controller.abort();
    await running;
  });
  await clock.parked(options.nodesExpiredForMs === undefined ? 3 : 4);
  const seconds = Math.floor(clock.now() / 1000);
  const entryIds = async () =>
    (await store.entries.list({}, { size: 0, token: "" })).items.map(({ entryId }) => entryId);
  const nodeNames = async () =>
    (await store.nodes.list({}, { size: 0, token: "" })).items.map(({ agentId }) => agentId.split("/").at(-1));
  return { store, clock, seconds, lines, entryIds, nodeNames };
}

test("expired entries and tokens go within five minutes", async () => {
  const { store, clock, seconds, entryIds } = await setup();
  await store.entries.create(entry("eternal"));
  await store.entries.create(entry("soon", { expiresAt: seconds + 60 }));
  await store.entries.create(entry("later", { expiresAt: seconds + 600 }));
  await store.joinTokens.create("soon", seconds + 60);
  await store.joinTokens.create("later", seconds + 600);
  await clock.advance(5 * MINUTE);
  expect(await entryIds()).toEqual(["eternal", "later"]);
  expect(await store.joinTokens.consume("soon")).toBeUndefined();
  await clock.advance(10 * MINUTE);
  expect(await entryIds()).toEqual(["eternal"]);
  expect(await store.joinTokens.consume("later")).toBeUndefined();
});

test("more than a batch goes in one run", async () => {
  const { store, clock, seconds, entryIds, lines } = await setup();
  const many = Array.from({ length: 1_100 }, (_, n) => store.entries.create(entry(`e${n}`, { expiresAt: seconds })));
  await Promise.all(many);
  await clock.advance(5 * MINUTE);
  expect(await entryIds()).toEqual([]);
  expect(lines).toMatchObject([{ message: "Pruned expired registrations", fields: { count: 1_100 } }]);
});

test("nodes stay unless that is asked for", async () => {
  const { store, clock, nodeNames } = await setup();
  await store.nodes.put(node("old", { expiresAt: 1, canReattest: true }));
  await clock.advance(3 * HOUR);
  expect(await nodeNames()).toEqual(["old"]);
});

test("nodes that can attest again go when asked for, banned ones and others do not", async () => {
  const { store, clock, seconds, nodeNames } = await setup({ nodesExpiredForMs: HOUR });
  await store.nodes.put(node("gone", { expiresAt: seconds - 1, canReattest: true }));
  await store.nodes.put(node("banned", { expiresAt: 1, canReattest: true, serial: "" }));
  await store.nodes.put(node("tofu", { expiresAt: 1 }));
  await store.nodes.put(node("fresh", { expiresAt: seconds + 2 * HOUR, canReattest: true }));
  await clock.advance(2 * HOUR + 30 * MINUTE);
  expect(await nodeNames()).toEqual(["banned", "tofu", "fresh"]);
});

test("the others go only when that is asked for too, with the alias of their join token", async () => {
  const { store, clock, nodeNames, entryIds } = await setup({ nodesExpiredForMs: HOUR, tofuNodes: true });
  const agentId = id("/spire/agent/join_token/t");
  await store.nodes.put({ ...node("x", { expiresAt: 1, attestationType: "join_token" }), agentId });
  await store.nodes.put(node("banned", { expiresAt: 1, serial: "" }));
  const alias = { parentId: agentId, selectors: [{ type: "spiffe_id", value: agentId }] };
  await store.entries.create(entry("alias", alias));
  await store.entries.create(entry("kept", { parentId: agentId }));
  await clock.advance(2 * HOUR);
  expect(await nodeNames()).toEqual(["banned"]);
  expect(await entryIds()).toEqual(["kept"]);
});

test("old events are forgotten", async () => {
  const { store, clock } = await setup();
  await store.entries.create(entry("a"));
  await store.entries.create(entry("b"));
  await clock.advance(19 * HOUR);
  expect(await store.events.since(0n, 10)).toBeUndefined();
});

test("a datastore that fails is tried again the next time", async () => {
  const { store, clock, lines } = await setup();
  await store.close();
  await clock.advance(10 * MINUTE);
  expect(lines.filter(({ message }) => message === "Could not prune").length).toBeGreaterThanOrEqual(4);
});
