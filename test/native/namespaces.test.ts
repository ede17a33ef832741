/** Pid namespaces: a pid that is used again, a peer that cannot be seen, a procfs of another namespace. */
import { describe, expect, test } from "vitest";
import { ADDON_FILE, Child, CONNECT, loadAddon, TestFolder, WAYS, works } from "./support.ts";

loadAddon();

// Root makes a pid namespace as it is; others need a user namespace, which some hosts forbid.
const UNSHARE = [
  ["--pid", "--fork"],
  ["--user", "--map-root-user", "--pid", "--fork"],
].find((flags) => works("unshare", ...flags, "--mount-proc", "sh", "-c", "echo 100 > /proc/sys/kernel/ns_last_pid"));

/** Runs a script in a pid namespace of its own; the addon is `process.argv[1]`, a free path `process.argv[2]`. */
function isolated(script: string, path: string, ...flags: string[]): Child {
  const node = [process.execPath, "-e", script, "--", ADDON_FILE, path];
  return new Child("unshare", [...(UNSHARE ?? []), ...flags, ...node]);
}

/** Prints `listening`, then the code of the error that the first connection gives, and exits. */
const REPORT = `const addon = require(process.argv[1]);
  require("net").createServer((socket) => {
    try {
      const { pid, handle } = addon.peerCredentials(socket._handle.fd);
      console.log("pid " + pid + " " + handle.executable().path);
    } catch (error) {
      console.log(error.code);
    }
    process.exit();
  }).listen(process.argv[2], () => console.log("listening"));`;

describe.skipIf(UNSHARE === undefined)("in a pid namespace (where unshare may make one)", () => {
  test.each(WAYS)("$kind: a handle stays dead when its pid is used again", async ({ options }) => {
    using folder = new TestFolder();
    // Two children in turn, the second with the pid of the first: the kernel hands out the one after ns_last_pid.
    const script = `const addon = require(process.argv[1]);
      const { spawn } = require("child_process");
      const { once } = require("events");
      const fs = require("fs");
      const connector = () => spawn(process.execPath, ["-e", ${JSON.stringify(CONNECT)}, "--", "", process.argv[2]]);
      const server = require("net").createServer({ pauseOnConnect: true }).listen(process.argv[2], async () => {
        const first = connector();
        const [socket] = await once(server, "connection");
        const old = addon.peerCredentials(socket._handle.fd, ${JSON.stringify(options)});
        const warm = addon.peerCredentials(socket._handle.fd, ${JSON.stringify(options)});
        warm.handle.executable();
        first.kill("SIGKILL");
        await once(first, "exit");
        let second;
        for (let attempt = 0; second?.pid !== first.pid && attempt < 50; attempt++) {
          second?.kill("SIGKILL");
          if (second) await once(second, "exit");
          fs.writeFileSync("/proc/sys/kernel/ns_last_pid", String(first.pid - 1));
          second = connector();
        }
        const [other] = await once(server, "connection");
        const now = addon.peerCredentials(other._handle.fd, ${JSON.stringify(options)});
        const code = (work) => { try { work(); return "no error"; } catch (error) { return error.code; } };
        let early = "no error";
        if (${JSON.stringify(options.force ?? "")} === "") early = code(() => addon.peerCredentials(socket._handle.fd));
        console.log(JSON.stringify({
          same: old.pid === now.pid,
          alive: [old, warm, now].map((peer) => peer.handle.isAlive()),
          executable: [old, warm, now].map((peer) => code(() => peer.handle.executable())),
          status: [old, warm, now].map((peer) => code(() => peer.handle.readProc("status"))),
          early,
        }));
        second.kill("SIGKILL");
        process.exit();
      });`;
    await using child = isolated(script, `${folder.path}/s`, "--mount-proc");
    expect(JSON.parse(await child.line())).toEqual({
      same: true,
      alive: [false, false, true],
      executable: ["ESRCH", "ESRCH", "no error"],
      status: ["ESRCH", "ESRCH", "no error"],
      // Only the kernel's own pidfd also tells when the pid was used again before we looked for the first time.
      early: options.force === undefined ? "ESRCH" : "no error",
    });
  });

  test("a peer outside of it is refused", async () => {
    using folder = new TestFolder();
    await using agent = isolated(REPORT, `${folder.path}/s`, "--mount-proc");
    expect(await agent.line()).toBe("listening");
    await using _ = Child.node(CONNECT, [`${folder.path}/s`]);
    expect(await agent.line()).toBe("ERR_PEER_PID_NAMESPACE");
  });

  test("a procfs of the namespace above is refused: its pids mean other processes", async () => {
    using folder = new TestFolder();
    const connects = `${REPORT}; require("net").connect(process.argv[2]);`;
    await using agent = isolated(connects, `${folder.path}/s`);
    expect(await agent.line()).toBe("listening");
    expect(await agent.line()).toBe("ERR_PROC_ROOT");
  });

  test("a peer in a namespace below ours is seen by its pid in ours", async () => {
    using folder = new TestFolder();
    await using agent = Child.node(REPORT, [`${folder.path}/s`]);
    expect(await agent.line()).toBe("listening");
    await using peer = isolated(`${CONNECT}; console.log(process.pid)`, `${folder.path}/s`, "--mount-proc");
    expect(await peer.line()).toBe("1");
    const [word, pid, path] = (await agent.line()).split(" ");
    expect({ word, path }).toEqual({ word: "pid", path: process.execPath });
    expect(Number(pid)).toBeGreaterThan(1);
  });
});
