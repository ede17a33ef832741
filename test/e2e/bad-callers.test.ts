/**
 * Callers that mean harm, as processes of their own and as another user where that can be: what they cost the agent is
 * bounded, another caller is served meanwhile, and nothing is left of them when they die in the middle.
 */
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AttackerOperations } from "../../bench/attacker-client.ts";
import { ATTACKS, type AttackKind } from "../../bench/lib/attacks.ts";
import { Connection } from "../../bench/lib/connection.ts";
import { Worker } from "../../bench/lib/worker.ts";
import { FIRST_FETCH } from "../../bench/lib/workload-calls.ts";
import { freePort } from "../../scripts/lib/programs.ts";
import { X509SVIDResponse } from "../../src/gen/workload/workload.ts";
import { NOBODY, Pair, SELF } from "./support.ts";

const ID = "spiffe://example.org/other";
const MIB = 2 ** 20;
/** What one user may hold of the agent, most of it for ten thousand streams; memory that was had once is had again. */
const MOST_OF_ALL = 450 * MIB;
/** The attacks of a test are under way once so many calls were begun, connections made, or some refused. */
const UNDER_WAY: Readonly<
  Record<AttackKind, { readonly calls?: number; readonly connections?: number; readonly refused?: number }>
> = {
  streams: { calls: 10_000, refused: 1 },
  "half-frames": { calls: 10_000, refused: 1 },
  lingers: { calls: 10_000 },
  "never-reads": { calls: 10_000 },
  resets: { calls: 10_000 },
  crumbs: { calls: 6_000 },
  dies: { connections: 1_000 },
  nacks: { calls: 100 },
  tokens: { calls: 1_000 },
};

let pair: Pair;
let port: number;
let atFirst: { readonly memory: number; readonly files: number; readonly connections: number };
const attacker = SELF === 0 ? NOBODY : SELF;

beforeAll(async () => {
  port = await freePort();
  pair = await Pair.start({
    discoverWorkloadPath: false,
    agentSections: `telemetry { Prometheus { port = ${port} } }`,
  });
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  if (attacker !== SELF) await pair.createEntry("spiffe://example.org/attacker", [`unix:uid:${attacker}`]);
  await pair.untilServed(ID);
  atFirst = { memory: memory(), files: files(), connections: await metric("workload_api_connections") };
}, 60_000);
afterAll(() => pair?.[Symbol.asyncDispose]());

const proc = (name: string): string => `/proc/${pair.agent.process.pid}/${name}`;
const files = (): number => readdirSync(proc("fd")).length;
const memory = (): number => Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(proc("status"), "utf8"))?.[1]) * 1024;

/** A number of the agent's page for Prometheus. */
async function metric(name: string): Promise<number> {
  const page = await (await fetch(`http://localhost:${port}/metrics`)).text();
  return Number(new RegExp(`^spire_agent_${name} (\\S+)$`, "m").exec(page)?.[1]);
}

/** Calls and connections that were refused so far. */
async function refusals(): Promise<number> {
  return (await metric("workload_api_refused_calls")) + (await metric("workload_api_refused_connections"));
}

/** Another caller asks on a connection of its own. As the same user it shares the attacker's bounds, and may be refused. */
async function another(): Promise<void> {
  const ids = await new Promise<readonly string[]>((resolve) => {
    const connection = new Connection(connect(pair.site.agentSocket));
    const done = (result: readonly string[]): void => {
      resolve(result);
      connection.socket.destroy();
    };
    connection.begin(FIRST_FETCH, {
      keep: true,
      message: (_length, bytes) =>
        done(X509SVIDResponse.decode(bytes ?? new Uint8Array(0)).svids.map(({ spiffeId }) => spiffeId)),
      end: () => done([]),
    });
  });
  if (attacker !== SELF) expect(ids).toContain(ID);
}

test.each(Object.keys(UNDER_WAY) as AttackKind[])(
  "%s",
  async (kind) => {
    await using worker = new Worker<AttackerOperations>("attacker-client.ts");
    await worker.call("become", { uid: attacker });
    await worker.call("attack", { socket: pair.site.agentSocket, kind });
    const { calls = 0, connections = 0, refused = 0 } = UNDER_WAY[kind];
    const before = await refusals();
    let peak = 0;
    await pair.agent.until(`${ATTACKS[kind].what} under way`, async () => {
      await another();
      peak = Math.max(peak, memory());
      const counts = await worker.call("counts");
      const enough = counts.calls >= calls && counts.connections >= connections;
      return enough && (refused === 0 || (await refusals()) - before >= refused);
    });
    for (let turn = 0; turn < 3; turn++) await another();
    peak = Math.max(peak, memory());
    // In the middle of it.
    await worker[Symbol.asyncDispose]();
    await pair.agent.until("end of its connections", async () => {
      return (await metric("workload_api_connections")) <= atFirst.connections && files() <= atFirst.files + 2;
    });
    await another();
    expect(peak - atFirst.memory).toBeLessThan(MOST_OF_ALL);
  },
  60_000,
);

test("what was refused is counted, and the log of it all is short", async () => {
  expect(await refusals()).toBeGreaterThan(0);
  expect(await metric("workload_api_streams")).toBe(0);
  expect(pair.agent.log().split("\n").length).toBeLessThan(2_000);
  expect(pair.agent.log()).not.toMatch(/level=(error|fatal|panic)/);
});
