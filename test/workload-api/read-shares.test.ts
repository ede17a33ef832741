import { expect, test } from "vitest";
import { type Readable, ReadShares } from "../../src/workload-api/read-shares.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class FakeConnection implements Readable {
  readonly uid: number;
  reading = true;
  refused = false;

  constructor(uid: number) {
    this.uid = uid;
  }

  pauseReading(): void {
    this.reading = false;
  }
  resumeReading(): void {
    this.reading = true;
  }
}

function setup() {
  const shares = new ReadShares<FakeConnection>(160);
  const connect = (uid: number, count: number): FakeConnection[] =>
    Array.from({ length: count }, () => {
      const connection = new FakeConnection(uid);
      shares.enter(connection);
      return connection;
    });
  const begin = (connection: FakeConnection | undefined, calls: number): void => {
    for (let call = 0; call < calls; call++) {
      if (connection !== undefined && !shares.begin(connection)) connection.refused = true;
    }
  };
  const reading = (connections: readonly FakeConnection[]): number => connections.filter((one) => one.reading).length;
  return { shares, connect, begin, reading };
}

test("within its share a user is read all the time", async () => {
  const { connect, begin, reading } = setup();
  const connections = connect(1, 10);
  for (let turn = 0; turn < 20; turn++) {
    begin(connections[0], 63);
    await nextTurn();
  }
  expect(reading(connections)).toBe(10);
});

test("beyond it none of its connections is, those of others are", () => {
  const { connect, begin, reading } = setup();
  const [greedy, modest] = [connect(1, 10), connect(2, 10)];
  for (const connection of greedy) begin(connection, 7);
  begin(modest[0], 63);
  expect([reading(greedy), reading(modest)]).toEqual([0, 10]);
});

test("they come back, more of them the less they ask", async () => {
  const { connect, begin, reading } = setup();
  const connections = connect(1, 100);
  begin(connections[0], 64);
  const seen: number[] = [];
  for (let turn = 0; turn < 7; turn++) {
    await nextTurn();
    seen.push(reading(connections));
  }
  expect(seen).toEqual([1, 3, 7, 15, 31, 63, 100]);
});

test("one that goes on is paused again each time, and behind the others", async () => {
  const { connect, begin, reading } = setup();
  const connections = connect(1, 3);
  begin(connections[0], 64);
  const order: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    await nextTurn();
    expect(reading(connections)).toBe(1);
    const index = connections.findIndex((one) => one.reading);
    order.push(index);
    begin(connections[index], 64);
  }
  expect(order).toEqual([0, 1, 2, 0, 1, 2]);
});

test("users who ask too much take turns among themselves", async () => {
  const { connect, begin, reading } = setup();
  const users = [1, 2, 3].map((uid) => connect(uid, 2));
  for (const connections of users) begin(connections[0], 64);
  const seen: number[][] = [];
  for (let turn = 0; turn < 3; turn++) {
    await nextTurn();
    seen.push(users.map(reading));
  }
  expect(seen).toEqual([
    [1, 0, 0],
    [1, 1, 0],
    [1, 1, 1],
  ]);
});

test("a connection that no client would make is cut", async () => {
  const { connect, begin } = setup();
  const [flood, patient] = connect(1, 2);
  begin(flood, 160);
  begin(patient, 159);
  expect([flood?.refused, patient?.refused]).toEqual([true, false]);
  await nextTurn();
  begin(patient, 159);
  expect(patient?.refused).toBe(false);
});

test("one that has gone is forgotten, also while it was paused, or before it came in", async () => {
  const { shares, connect, begin, reading } = setup();
  const connections = connect(1, 3);
  begin(connections[0], 64);
  for (const connection of connections.slice(0, 2)) shares.leave(connection);
  await nextTurn();
  expect(connections.map((one) => one.reading)).toEqual([false, false, true]);
  const stranger = new FakeConnection(9);
  shares.leave(stranger);
  begin(stranger, 600);
  expect([stranger.reading, stranger.refused]).toEqual([true, false]);
  for (const connection of connections) shares.leave(connection);
  const fresh = connect(1, 1);
  begin(fresh[0], 63);
  expect(reading(fresh)).toBe(1);
});

test("thousands whose callers go at the same moment are read a few at a time", async () => {
  const { shares, connect, reading } = setup();
  const left = new Set(connect(1, 4_000));
  const others = connect(2, 10);
  let most = 0;
  while (left.size > 0) {
    const before = left.size;
    // As the event loop does: each that is read turns out to have ended, until the rest is not read any more.
    for (const one of left) {
      if (!one.reading) continue;
      left.delete(one);
      shares.ending(one);
      shares.leave(one);
    }
    most = Math.max(most, before - left.size);
    await nextTurn();
  }
  expect(most).toBe(64);
  expect(reading(others)).toBe(10);
});
