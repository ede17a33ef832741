/** What `doctor` decides about this host: user, socket, data, stored SVID, clock, token. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { encodeAgentData } from "../../../src/agent/agent-data.ts";
import { checked, exitStatus, fail, ok } from "../../../src/cli/agent/doctor/check.ts";
import { type ClockFacts, judgeClock } from "../../../src/cli/agent/doctor/clock.ts";
import { type DataFolderFacts, judgeDataFolder } from "../../../src/cli/agent/doctor/data-folder.ts";
import { joinTokenFacts, judgeJoinToken } from "../../../src/cli/agent/doctor/join-token.ts";
import { checkText, reportJson, summaryText } from "../../../src/cli/agent/doctor/report.ts";
import { lockState, socketOccupant } from "../../../src/cli/agent/doctor/running.ts";
import {
  judgeAdminSocket,
  judgeSocket,
  type SocketFacts,
  socketFacts,
} from "../../../src/cli/agent/doctor/socket-folder.ts";
import { judgeStored, readStored, usableIdentity } from "../../../src/cli/agent/doctor/stored.ts";
import { agentUid, judgeUser } from "../../../src/cli/agent/doctor/user.ts";
import { lengthText, momentText } from "../../../src/cli/agent/doctor/words.ts";
import { UnixListener } from "../../../src/lib/rpc/unix-listener.ts";
import { agentId, parseTrustDomain } from "../../../src/spiffe/id.ts";
import { HOUR, TestCa } from "../../fakes/test-ca.ts";

const folder = mkdtempSync(join(tmpdir(), "hf-doctor-"));
chmodSync(folder, 0o755);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SELF = process.geteuid?.() ?? 0;
const NOW = Date.UTC(2026, 10, 27, 12);
const TD = parseTrustDomain("example.org");

describe("report", () => {
  const checks = [
    { name: "clock", ...ok("right") },
    { name: "server", ...fail("gone\nfor ever", "start it") },
  ];

  test("a line for each, what to do on the next", () => {
    expect(checks.map(checkText).join("")).toBe(
      `ok    clock                right
FAIL  server               gone
                           for ever
                           -> start it
`,
    );
    expect(summaryText(checks)).toBe("\n2 checks, 1 failed.\n");
    expect(summaryText([{ name: "clock", status: "warn", found: "" }])).toBe("\n1 check, none failed, 1 warning.\n");
  });

  test("one JSON object", () => {
    expect(JSON.parse(reportJson(checks))).toEqual({
      ok: false,
      checks: [
        { name: "clock", status: "ok", found: "right" },
        { name: "server", status: "fail", found: "gone\nfor ever", advice: "start it" },
      ],
    });
  });

  test("only a failure is a failure", () => {
    expect(exitStatus(checks)).toBe(1);
    expect(exitStatus([{ name: "clock", status: "warn", found: "" }])).toBe(0);
  });

  test("a check that breaks fails alone", async () => {
    const broken = await checked("clock", () => {
      throw new Error("boom");
    });
    expect(broken).toEqual({ name: "clock", status: "fail", found: "could not be checked: boom" });
  });

  test("lengths of time", () => {
    expect([1_000, 90_000, 130_000, 3 * HOUR, 7 * 24 * HOUR - 1_000].map(lengthText)).toEqual([
      "1 s",
      "90 s",
      "2 min",
      "3 h",
      "7 days",
    ]);
    expect(momentText(NOW - 3 * HOUR, NOW)).toBe("2026-11-27T09:00:00Z (3 h ago)");
  });
});

describe("user", () => {
  test.each([
    [{ uid: 998, running: undefined, dataOwner: 998 }, "ok", ""],
    [{ uid: 998, running: 998, dataOwner: 998 }, "ok", "as the running agent is"],
    [{ uid: 998, running: undefined, dataOwner: undefined }, "ok", ""],
    [{ uid: 998, running: 0, dataOwner: 0 }, "warn", "the running agent is root (uid 0)"],
    [{ uid: 998, running: undefined, dataOwner: 61_234 }, "warn", "the data folder belongs to uid 61234"],
    [{ uid: 0, running: undefined, dataOwner: 61_234 }, "warn", "the data folder belongs to uid 61234"],
    [{ uid: 0, running: undefined, dataOwner: 0 }, "warn", "who may do everything"],
    [{ uid: 0, running: 0, dataOwner: 0 }, "ok", "as the running agent is"],
  ] as const)("%j", (facts, status, found) => {
    const verdict = judgeUser(facts);
    expect(verdict.status).toBe(status);
    expect(verdict.found).toContain(found);
  });

  test("root judges for the agent's user", () => {
    expect(agentUid({ uid: 0, running: 5, dataOwner: 6 })).toBe(5);
    expect(agentUid({ uid: 0, running: undefined, dataOwner: 6 })).toBe(6);
    expect(agentUid({ uid: 0, running: undefined, dataOwner: undefined })).toBe(0);
    expect(agentUid({ uid: 7, running: 5, dataOwner: 6 })).toBe(7);
  });
});

describe("socket folder", () => {
  const facts: SocketFacts = {
    path: "/run/holdfast/api.sock",
    uid: 61_234,
    folder: { kind: "folder", uid: 61_234, gid: 1, mode: 0o755 },
    refusal: undefined,
    unwritable: undefined,
    closed: undefined,
    occupant: { kind: "nothing" },
    lock: "free",
  };

  test.each<[Partial<SocketFacts>, string, string]>([
    [{}, "ok", "nobody serves it yet"],
    [{ folder: { kind: "missing", above: "/run" } }, "ok", "will be made"],
    [{ occupant: { kind: "stale" } }, "ok", "will be replaced"],
    [{ occupant: { kind: "served", by: { pid: 7, uid: 61_234 } }, lock: "held" }, "ok", "an agent is running"],
    [{ occupant: { kind: "served", by: { pid: 7, uid: 61_234 } }, lock: "unknown" }, "ok", "it is served"],
    [{ occupant: { kind: "served", by: { pid: 7, uid: 61_235 } } }, "fail", "served by pid 7 of uid 61235"],
    [{ occupant: { kind: "served", by: undefined } }, "fail", "served by another process"],
    [{ occupant: { kind: "not-a-socket" } }, "fail", "not a socket"],
    [{ occupant: { kind: "hidden", errno: "EACCES" } }, "fail", "EACCES"],
    [{ refusal: "/run is writable by others, so that; use a folder" }, "fail", "/run is writable by others, so that"],
    [{ unwritable: "EACCES" }, "fail", "no socket can be made in /run/holdfast: EACCES"],
    [
      { unwritable: "EACCES", folder: { kind: "missing", above: "/run" } },
      "fail",
      "missing and cannot be made in /run: EACCES",
    ],
    [{ folder: { kind: "not-a-folder" } }, "fail", "is not a folder"],
    [{ folder: { kind: "hidden", errno: "EACCES" } }, "fail", "cannot be looked at: EACCES"],
    [{ closed: { path: "/run/holdfast", mode: 0o40750 } }, "warn", "/run/holdfast has mode 0750"],
    [{ path: `/run/${"x".repeat(110)}/s` }, "fail", "too long"],
  ])("%j", (change, status, found) => {
    const verdict = judgeSocket({ ...facts, ...change });
    expect(verdict.status).toBe(status);
    expect(verdict.found).toContain(found);
    if (status !== "ok") expect(verdict.advice).toBeDefined();
  });

  test("the administration socket is judged by the same rules, but not every user is to reach it", () => {
    expect(judgeAdminSocket({ ...facts, unwritable: "EACCES" })).toMatchObject({
      status: "fail",
      advice: expect.stringContaining("an admin_socket_path"),
    });
    expect(judgeAdminSocket({ ...facts, closed: { path: "/x", mode: 0o700 } }).status).toBe("ok");
    expect(judgeAdminSocket(facts).status).toBe("ok");
  });

  test.each([106, 107, 108])("agrees with the listener about a path of %i bytes", async (length) => {
    const path = join(folder, "x".repeat(length - folder.length - 1));
    expect(path).toHaveLength(length);
    await agrees(path);
  });

  test.each([92, 93])("and about a folder of %i bytes", async (length) => {
    const long = join(folder, "y".repeat(length - folder.length - 1));
    mkdirSync(long);
    await agrees(join(long, "s"));
  });

  test("agrees with the listener about folders, and makes none", async () => {
    const open = join(folder, "open");
    mkdirSync(join(open, "below"), { recursive: true });
    chmodSync(open, 0o777);
    for (const path of ["open/s", "open/below/s", "open/new/s", "open/new/er/s"]) await agrees(join(folder, path));
    expect(readdirSync(open)).toEqual(["below"]);
    chmodSync(open, 0o1777);
    for (const path of ["open/s", "open/below/s"]) await agrees(join(folder, path));
    expect(judgeSocket(await factsOf(join(open, "new/s"))).status).toBe("ok");
    expect(readdirSync(open)).toEqual(["below"]);
    await agrees(join(open, "new/s"));
  });

  async function factsOf(path: string): Promise<SocketFacts> {
    const occupant = await socketOccupant(path, undefined, AbortSignal.timeout(2_000));
    return socketFacts(path, SELF, occupant, "free");
  }

  /** The verdict is that of the listener, which is asked last because it makes what is missing. */
  async function agrees(path: string): Promise<void> {
    const verdict = judgeSocket(await factsOf(path));
    const listener = new UnixListener({ path, audience: "workload" }, (socket) => socket.destroy());
    const opened = await listener.open().then(
      () => true,
      () => false,
    );
    if (opened) {
      expect(judgeSocket(await factsOf(path)).found).toContain("is served by");
      await listener.close();
    }
    expect([path, verdict.status === "fail"]).toEqual([path, !opened]);
  }
});

describe("running agent", () => {
  test("no lock file is made", () => {
    const native = { lockFile: () => expect.unreachable("the lock was asked for") };
    expect(lockState(folder, native)).toBe("free");
    expect(lockState(join(folder, "missing"), native)).toBe("free");
  });

  test("the lock is given back", () => {
    const dataDir = join(folder, "locked");
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, ".holdfast.lock"), "");
    let released = 0;
    const lock = { release: () => void released++, [Symbol.dispose]() {} };
    expect(lockState(dataDir, { lockFile: () => lock })).toBe("free");
    expect(released).toBe(1);
    expect(lockState(dataDir, { lockFile: () => undefined })).toBe("held");
    const refused = Object.assign(new Error("no"), { code: "EACCES" });
    expect(
      lockState(dataDir, {
        lockFile: () => {
          throw refused;
        },
      }),
    ).toBe("unknown");
    expect(lockState(dataDir, undefined)).toBe("unknown");
  });
});

describe("data folder", () => {
  const MIB = 1 << 20;
  const facts: DataFolderFacts = {
    path: "/var/lib/holdfast",
    key: "data_dir",
    uid: 61_234,
    folder: { kind: "folder", uid: 61_234, gid: 1, mode: 0o40700 },
    refused: undefined,
    freeBytes: 100 * MIB,
    isOpen: false,
    lock: "free",
  };

  test.each<[Partial<DataFolderFacts>, string, string]>([
    [{}, "ok", "belongs to uid 61234, mode 0700, 100 MiB free"],
    [{ lock: "held" }, "ok", "an agent is running with it"],
    [{ folder: { kind: "missing", above: "/var/lib" } }, "ok", "will be made"],
    [{ freeBytes: undefined }, "ok", "mode 0700"],
    [{ freeBytes: 15 * MIB }, "warn", "15 MiB free"],
    [{ freeBytes: 1000 }, "fail", "0 MiB free"],
    [{ refused: "EACCES" }, "fail", "EACCES; it belongs to uid 61234 and has mode 0700"],
    [{ refused: "EROFS" }, "fail", "EROFS"],
    [
      { refused: "EACCES", folder: { kind: "missing", above: "/var/lib" } },
      "fail",
      "cannot be made in /var/lib: EACCES",
    ],
    [{ folder: { kind: "not-a-folder" } }, "fail", "is not a folder"],
    [{ folder: { kind: "hidden", errno: "EACCES" } }, "fail", "cannot be looked at"],
    [{ isOpen: true }, "warn", "others may write to it"],
    [{ folder: { kind: "folder", uid: 61_235, gid: 1, mode: 0o40700 } }, "warn", "and not to uid 61234"],
    [{ folder: { kind: "folder", uid: 0, gid: 0, mode: 0o40755 } }, "ok", "root"],
  ])("%j", (change, status, found) => {
    const verdict = judgeDataFolder({ ...facts, ...change });
    expect(verdict.status).toBe(status);
    expect(verdict.found).toContain(found);
    if (status !== "ok") expect(verdict.advice).toBeDefined();
  });
});

describe("stored SVID", async () => {
  const ca = await TestCa.create(TD, NOW);
  const svid = await ca.svid(agentId(TD, "tpm", "abc"), { notBefore: NOW - HOUR, notAfter: NOW + HOUR });
  const text = encodeAgentData(
    { identity: { svid, reattestable: true }, bundle: ca.bundle(), lastGoodTime: NOW },
    TD,
    true,
  );
  const path = join(folder, "agent-data.json");

  async function stored(content: string, mode = 0o600) {
    writeFileSync(path, content);
    chmodSync(path, mode);
    return await readStored(path, { trustDomain: TD }, SELF);
  }

  test("is read, and stays as it was", async () => {
    const found = await stored(text);
    expect(judgeStored(found, path, NOW, true)).toMatchObject({
      status: "ok",
      found: "spiffe://example.org/spire/agent/tpm/abc, until 2026-11-27T13:00:00Z (in 60 min)",
      details: { reattestable: true },
    });
    expect(usableIdentity(found, NOW)?.svid.spiffeId).toBe(svid.spiffeId);
    expect(createHash("sha256").update(readFileSync(path)).digest("hex")).toBe(
      createHash("sha256").update(text).digest("hex"),
    );
  });

  test("has expired", async () => {
    const found = await stored(text);
    expect(judgeStored(found, path, NOW + 2 * HOUR, true)).toMatchObject({ status: "warn" });
    expect(usableIdentity(found, NOW + 2 * HOUR)).toBeUndefined();
  });

  test("a damaged file is told and left where it is", async () => {
    const found = await stored(text.replace("sha256", "sha257"));
    expect(judgeStored(found, path, NOW, true)).toMatchObject({
      status: "warn",
      found: `${path} is damaged: its outer form is wrong`,
    });
    expect(readdirSync(folder).filter((name) => name.startsWith("agent-data"))).toEqual(["agent-data.json"]);
  });

  test("others may read or write it", async () => {
    expect(judgeStored(await stored(text, 0o644), path, NOW, true).found).toContain("others may read its key");
    expect(judgeStored(await stored(text, 0o666), path, NOW, true).found).toContain("others may write to it");
  });

  test("none is kept", async () => {
    const missing = await readStored(join(folder, "nosuch"), { trustDomain: TD }, SELF);
    expect(missing).toEqual({ kind: "none" });
    expect(judgeStored(missing, path, NOW, true).status).toBe("ok");
    expect(judgeStored(await stored(text), path, NOW, false).found).toContain("attests at each start");
    expect(judgeStored({ kind: "unreadable", errno: "EACCES" }, path, NOW, true).status).toBe("fail");
  });
});

test.each<[string, Partial<ClockFacts>, string, string]>([
  ["right", { server: { notBefore: NOW - 1, notAfter: NOW + 1 } }, "ok", "within the validity"],
  ["nothing to compare", {}, "ok", "no server to compare it with"],
  ["a dead battery", { now: 0 }, "fail", "1970-01-01T00:00:00Z"],
  ["before the last run", { lastGoodTime: NOW + 3 * HOUR }, "warn", "3 h before this agent last ran"],
  ["a little before the last run", { lastGoodTime: NOW + 30_000 }, "ok", ""],
  [
    "before the server's certificate",
    { server: { notBefore: NOW + HOUR, notAfter: NOW + 2 * HOUR } },
    "fail",
    "60 min",
  ],
  ["after the server's certificate", { server: { notBefore: 0, notAfter: NOW - HOUR } }, "warn", "expired"],
])("clock: %s", (_what, change, status, found) => {
  const verdict = judgeClock({ now: NOW, lastGoodTime: undefined, server: undefined, ...change });
  expect(verdict.status).toBe(status);
  expect(verdict.found).toContain(found);
});

describe("join token", () => {
  const token = { kind: "token" } as const;

  test("is needed until the agent has joined", () => {
    const none = { kind: "none" } as const;
    expect(judgeJoinToken({ hasJoined: false, keepsKey: true, token: none }).status).toBe("fail");
    expect(judgeJoinToken({ hasJoined: true, keepsKey: true, token: none }).status).toBe("ok");
    expect(judgeJoinToken({ hasJoined: false, keepsKey: true, token }).status).toBe("ok");
    expect(judgeJoinToken({ hasJoined: false, keepsKey: false, token }).status).toBe("warn");
  });

  test("the file is looked at, and what is in it not told", () => {
    const path = join(folder, "token");
    const problem = (content: string): unknown => {
      writeFileSync(path, content);
      return joinTokenFacts({ kind: "file", path });
    };
    expect(problem("secret\n")).toEqual({ kind: "file", path, problem: undefined });
    expect(problem(" \n")).toMatchObject({ problem: "is empty" });
    expect(problem("x".repeat(256))).toMatchObject({ problem: "is too long for a token" });
    expect(joinTokenFacts({ kind: "file", path: folder })).toMatchObject({ problem: "is a folder" });
    expect(joinTokenFacts({ kind: "file", path: join(folder, "no") })).toMatchObject({
      problem: "cannot be read: ENOENT",
    });
    expect(joinTokenFacts({ kind: "token", token: "secret" })).toEqual({ kind: "token" });
    expect(statSync(path).size).toBe(256);
  });
});
