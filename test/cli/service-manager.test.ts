import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Env,
  inheritedListener,
  inheritedSockets,
  ServiceManager,
  watchdogIntervalMs,
} from "../../src/cli/service-manager.ts";
import { errorCode } from "../../src/lib/errors.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { RecordingLogger } from "../fakes/recording-logger.ts";

const PID = 4711;

/** A manager, what it sent and to whom. */
function start(env: Env, send: (state: string) => void = () => {}) {
  const clock = new ManualClock();
  const log = new RecordingLogger();
  const sent: string[] = [];
  const native = {
    sdNotify: (_socket: string, state: string): void => {
      send(state);
      sent.push(state);
    },
  };
  return { clock, log, sent, manager: new ServiceManager({ native, env, clock, log, pid: PID }) };
}

const NOTIFY: Env = { NOTIFY_SOCKET: "/run/systemd/notify" };

describe("what is told", () => {
  test.each([{}, { NOTIFY_SOCKET: "" }])("nothing without a service manager", (env) => {
    const { manager, sent } = start({ ...env, WATCHDOG_USEC: "1000000" });
    expect(manager.present).toBe(false);
    using _watchdog = manager.watchdog();
    manager.ready();
    manager.status("well");
    manager.stopping();
    expect(sent).toEqual([]);
  });

  test("that we serve, how it goes when that changes, and that we end, once", () => {
    const { manager, sent } = start(NOTIFY);
    manager.ready();
    manager.status("one");
    manager.status("one");
    manager.status("two\nREADY=1");
    manager.stopping();
    manager.stopping();
    manager.status("three");
    expect(sent).toEqual(["READY=1", "STATUS=one", "STATUS=two READY=1", "STOPPING=1\nSTATUS=Stopping"]);
  });

  test("a reload, with its time, between READY=1 and STOPPING=1 only", () => {
    const { manager, sent } = start(NOTIFY);
    manager.reloading(1n);
    manager.reloaded();
    expect(sent).toEqual([]);
    manager.ready();
    manager.reloading(2n);
    manager.reloaded();
    manager.stopping();
    manager.reloading(3n);
    manager.reloaded();
    expect(sent.slice(1, -1)).toEqual(["RELOADING=1\nMONOTONIC_USEC=2", "READY=1"]);
  });

  test("a service manager that takes nothing is logged once, until it takes something again", () => {
    let broken = true;
    const { manager, log } = start(NOTIFY, () => {
      if (broken) throw new Error("ECONNREFUSED");
    });
    manager.ready();
    manager.ready();
    expect(log.lines).toHaveLength(1);
    broken = false;
    manager.ready();
    broken = true;
    manager.ready();
    expect(log.lines).toHaveLength(2);
  });
});

describe("the watchdog", () => {
  test.each([
    [{ WATCHDOG_USEC: "30000000" }, 15_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(PID) }, 15_000],
    [{ WATCHDOG_USEC: "1" }, 1],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }, undefined],
    [{}, undefined],
    [{ WATCHDOG_USEC: "0" }, undefined],
    [{ WATCHDOG_USEC: "-5" }, undefined],
    [{ WATCHDOG_USEC: "soon" }, undefined],
  ])("%j is every %s ms", (env, intervalMs) => {
    expect(watchdogIntervalMs(env, PID)).toBe(intervalMs);
  });

  test("is told at half its time, until the end", async () => {
    const { manager, sent, clock } = start({ ...NOTIFY, WATCHDOG_USEC: "2000000" });
    const watchdog = manager.watchdog();
    expect(sent).toEqual(["WATCHDOG=1"]);
    await clock.advance(2_500);
    expect(sent).toHaveLength(3);
    watchdog[Symbol.dispose]();
    await clock.advance(10_000);
    expect(sent).toHaveLength(3);
  });
});

describe("sockets that are handed over", () => {
  test.each([
    [{}, []],
    [{ LISTEN_FDS: "1" }, []],
    [{ LISTEN_FDS: "1", LISTEN_PID: "1" }, []],
    [{ LISTEN_FDS: "0", LISTEN_PID: String(PID) }, []],
    [{ LISTEN_FDS: "1", LISTEN_PID: String(PID) }, [{ fd: 3, name: "unknown" }]],
    [
      { LISTEN_FDS: "2", LISTEN_PID: String(PID), LISTEN_FDNAMES: "workload-api:x" },
      [
        { fd: 3, name: "workload-api" },
        { fd: 4, name: "x" },
      ],
    ],
  ])("%j", (env, sockets) => {
    expect(inheritedSockets(env, PID)).toEqual(sockets);
  });

  test.each(["-1", "x", "1.5", "99999"])("%s is no number of sockets", (count) => {
    expect(() => inheritedSockets({ LISTEN_FDS: count, LISTEN_PID: String(PID) }, PID)).toThrow("no number of sockets");
  });

  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "inherited-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const listener = (path: string, found: string | Error, count = "1"): number | undefined =>
    inheritedListener(path, {
      env: { LISTEN_FDS: count, LISTEN_PID: String(PID), LISTEN_FDNAMES: "workload-api" },
      pid: PID,
      native: {
        listeningPath: () => {
          if (found instanceof Error) throw found;
          return found;
        },
      },
    });

  test("the one of the configured path is taken, also by another way to its folder", () => {
    mkdirSync(join(folder, "run"));
    symlinkSync("run", join(folder, "var"));
    expect(listener(join(folder, "run/api.sock"), join(folder, "run/api.sock"))).toBe(3);
    expect(listener(join(folder, "var/api.sock"), join(folder, "run/api.sock"))).toBe(3);
    expect(inheritedListener("/x", { env: {}, pid: PID, native: { listeningPath: () => "" } })).toBeUndefined();
  });

  test.each([
    [
      "one of another path",
      "/run/other.sock",
      "1",
      /a socket at \/run\/other\.sock \(workload-api\), but socket_path is/,
    ],
    ["an abstract one", "@/run/api.sock", "1", /but socket_path is/],
    ["two", "/run/api.sock", "2", /2 sockets, but takes one/],
    [
      "something else",
      new Error("not a listening Unix stream socket"),
      "1",
      /no listening Unix stream socket: it needs/,
    ],
  ])("%s is refused, with the remedy", (_, found, count, message) => {
    let error: unknown;
    try {
      listener("/run/api.sock", found, count);
    } catch (thrown) {
      error = thrown;
    }
    expect(errorCode(error)).toBe("FAILED_PRECONDITION");
    expect((error as Error).message).toMatch(message);
  });
});
