/** The real agent under a stand-in for systemd: sockets that are handed over, notifications, watchdog, SIGHUP. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Child, works } from "../native/support.ts";
import { fetchX509, idsOf, NODE, Pair, PROGRAMS, SELF } from "./support.ts";

const ID = "spiffe://example.org/web";
const WATCHDOG_MS = 1_000;

/**
 * Listens at argv[1], or binds a socket of another kind (argv[2]), prints what comes to NOTIFY_SOCKET, and obeys
 * lines: `start PROGRAM…`, `SIGNAL`, until there are no more; prints `exit N` for each program that has ended.
 */
const STAND_IN = `
import json, os, signal, socket, sys, threading
path, kind, notify, log = sys.argv[1:5]
s = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX, socket.SOCK_DGRAM if kind == "dgram" else socket.SOCK_STREAM)
s.bind(("127.0.0.1", 0) if kind == "tcp" else path)
if kind != "dgram": s.listen(4096)
if kind == "stream": os.chmod(path, 0o777)
n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
n.bind("\\0" + notify[1:])
def say(*words): print(*words, flush=True)
def told():
    while True: say(json.dumps(n.recv(65536).decode()))
threading.Thread(target=told, daemon=True).start()
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
pid = 0
def wait(child):
    global pid
    status = os.waitpid(child, 0)[1]
    pid = 0
    say("exit", os.waitstatus_to_exitcode(status))
for line in sys.stdin:
    words = json.loads(line)
    if words[0] == "start":
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0); os.dup2(out, 1); os.dup2(out, 2); os.dup2(s.fileno(), 3) if s.fileno() != 3 else os.set_inheritable(3, True)
            os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="workload-api", NOTIFY_SOCKET=notify, WATCHDOG_USEC="${WATCHDOG_MS * 1000}", WATCHDOG_PID=str(os.getpid()))
            os.execv(words[1], words[1:])
        threading.Thread(target=wait, args=(pid,), daemon=True).start()
    elif pid: os.kill(pid, getattr(signal, words[0]))
if pid: os.kill(pid, signal.SIGKILL)
`;

let pair: Pair;
let standIn: Child;
const told: string[] = [];
let log: string;

/** The next line that fits; those before it are kept in `told`. */
async function until(wanted: RegExp, from: Child = standIn): Promise<string> {
  for (;;) {
    const line = await from.line();
    told.push(line);
    if (wanted.test(line)) return line;
    if (line === "(end of output)")
      throw new Error(`no ${wanted} in\n${told.join("\n")}\n${readFileSync(log, "utf8")}`);
  }
}

const start = (child = standIn): void =>
  child.send(JSON.stringify(["start", PROGRAMS.agent, "run", "-config", pair.site.agentConfig]));

const makeStandIn = (kind: string, path = pair.site.agentSocket): Child => {
  log = join(pair.site.folder, `${kind}.log`);
  return new Child("python3", ["-c", STAND_IN, path, kind, `@holdfast-test-${process.pid}-${kind}`, log]);
};

describe.skipIf(!works("python3", "-c", "import socket"))("with python3 (which must be installed)", () => {
  beforeAll(async () => {
    pair = await Pair.start();
    await pair.createEntry(ID, [`unix:uid:${SELF}`, `unix:path:${NODE}`]);
    await pair.untilServed(ID);
    await pair.agent.until("stored", async () => existsSync(join(pair.site.folder, "agent/workloads.sealed")));
    await pair.agent.stop();
    standIn = makeStandIn("stream");
    start();
  });
  afterAll(async () => {
    // It takes the agent with it.
    standIn?.process.stdin?.end();
    await standIn?.exit();
    await pair?.[Symbol.asyncDispose]();
  });

  test("says when it serves, and how it is", async () => {
    await until(/READY=1/);
    await until(/STATUS=Serving 1 identity; server reached/);
  });

  test("attests callers of the socket that it was handed", async () => {
    expect(idsOf(await fetchX509(pair.site))).toEqual([ID]);
    expect(readFileSync(log, "utf8")).toContain("inherited=true");
  });

  test("keeps the watchdog happy", async () => {
    const started = performance.now();
    for (let count = 0; count < 4; count++) await until(/WATCHDOG=1/);
    expect(performance.now() - started).toBeLessThan(4 * WATCHDOG_MS);
  });

  test("SIGHUP: a new log level counts at once, what needs a restart is named, nonsense changes nothing", async () => {
    const before = readFileSync(pair.site.agentConfig, "utf8");
    try {
      const changed = before.replace(/^agent \{/m, 'agent {\n  log_level = "debug"\n  jwt_svid_cache_max_size = 77');
      writeFileSync(pair.site.agentConfig, changed.replace(/\n {2}log_level = "info"/, ""));
      standIn.send(JSON.stringify(["SIGHUP"]));
      await until(/RELOADING=1\\nMONOTONIC_USEC=\d+/);
      await until(/READY=1/);
      expect(readFileSync(log, "utf8")).toMatch(/was reloaded.*log_level/);
      expect(readFileSync(log, "utf8")).toMatch(/need a restart.*agent\.jwt_svid_cache_max_size/);
      writeFileSync(pair.site.agentConfig, "agent { nonsense = 1 }");
      standIn.send(JSON.stringify(["SIGHUP"]));
      await until(/RELOADING=1/);
      await until(/READY=1/);
      expect(readFileSync(log, "utf8")).toMatch(/was not reloaded.*nonsense/);
      expect(idsOf(await fetchX509(pair.site))).toEqual([ID]);
    } finally {
      writeFileSync(pair.site.agentConfig, before);
    }
  });

  test("no connection is refused while it is restarted, also without the server, and the socket stays", async () => {
    await pair.server.stop("SIGKILL");
    const over = new AbortController();
    let made = 0;
    const refused: unknown[] = [];
    const callers = (async () => {
      while (!over.signal.aborted) {
        await new Promise<void>((done) => {
          const socket = connect(pair.site.agentSocket, () => {
            made += 1;
            socket.destroy();
          });
          socket.on("error", (error: NodeJS.ErrnoException) => {
            if (error.code !== "EPIPE" && error.code !== "ECONNRESET") refused.push(error.code);
          });
          socket.on("close", () => setTimeout(done, 5));
        });
      }
    })();
    for (const signal of ["SIGTERM", "SIGKILL", "SIGTERM"]) {
      standIn.send(JSON.stringify([signal]));
      if (signal === "SIGTERM") await until(/STOPPING=1/);
      await until(/^exit/);
      // Nobody serves now: this one waits in the queue of the socket.
      const early = fetchX509(pair.site, { args: ["-output", "json", "-timeout", "20s"] });
      start();
      await until(/READY=1/);
      const answer = await early;
      expect(answer.status, `${answer.stderr}\n${readFileSync(log, "utf8")}`).toBe(0);
      expect(idsOf(answer)).toEqual([ID]);
    }
    over.abort();
    await callers;
    expect(refused).toEqual([]);
    expect(made).toBeGreaterThan(20);
    await until(/STATUS=Serving 1 identity; server away, last sync/);
  });

  test.each([
    ["dgram", /file descriptor 3 \(workload-api\), which is no listening Unix stream socket/],
    ["tcp", /file descriptor 3 \(workload-api\), which is no listening Unix stream socket/],
    ["other", /a socket at \S+other\.sock \(workload-api\), but socket_path is/],
  ] as const)("a %s socket ends it, saying what is wrong", async (kind, message) => {
    if (kind === "dgram") {
      standIn.send(JSON.stringify(["SIGTERM"]));
      await until(/^exit 0/);
    }
    await using other = makeStandIn(kind, join(pair.site.folder, `${kind}.sock`));
    start(other);
    await until(/^exit 1/, other);
    expect(readFileSync(log, "utf8")).toMatch(message);
  });
});
