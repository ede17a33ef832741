/** The shipped units under a real systemd, in a container that cannot reach the host. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { works } from "../../native/support.ts";
import { Folder, NODE } from "../support.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const ID = "spiffe://example.org/web";
const LIMIT_MS = 240_000;
/** The host's /usr, read-only, and nothing else of it; no network. */
const NSPAWN = "-D / --volatile=yes --boot --quiet --register=no --keep-unit --private-network --console=pipe".split(
  " ",
);

/** Why there can be no such container here; undefined where there can. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can start a container";
  if (!works("systemd-nspawn", "--version")) return "systemd-nspawn (Debian package systemd-container) is missing";
  if (!works("systemd-creds", "--version")) return "systemd-creds is missing";
  return undefined;
}

const why = obstacle();

/** Drop-ins, by which the container's systemd runs the programs of this checkout, and the test itself. */
function prepare(folder: string): void {
  const units = join(folder, "units");
  mkdirSync(units);
  const change = (program: string, more: string): void => {
    const dropIns = join(units, `holdfast-${program}.service.d`);
    mkdirSync(dropIns);
    const start = `${ROOT}/bin/holdfast-${program} run -config /etc/holdfast/${program}.conf`;
    // The checkout may be in somebody's home.
    const lines = ["[Service]", "ExecStart=", `ExecStart=${start}`, "ProtectHome=read-only", more, ""];
    writeFileSync(join(dropIns, "test.conf"), lines.join("\n"));
  };
  change("server", "");
  change("agent", "WatchdogSec=3\nLoadCredentialEncrypted=holdfast-storage-key");
  writeFileSync(
    join(units, "hf-test.target"),
    "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=hf-test.service\n",
  );
  const service = [
    "[Unit]",
    "After=basic.target",
    "[Service]",
    "Type=oneshot",
    `Environment=ROOT=${ROOT} NODE=${NODE}`,
    "ExecStart=/bin/sh /hf/driver.sh",
    "StandardOutput=file:/hf/seen",
    "StandardError=file:/hf/errors",
    `TimeoutStartSec=${LIMIT_MS / 1_000 - 30}`,
    "ExecStopPost=/bin/systemctl --no-block exit 0",
  ];
  writeFileSync(join(units, "hf-test.service"), `${service.join("\n")}\n`);
  cpSync(join(import.meta.dirname, "driver.sh"), join(folder, "driver.sh"));
}

/** Runs the driver to its end and returns what it saw, by name. */
function runBox(folder: string): ReadonlyMap<string, string> {
  const visible = [ROOT, realpathSync(join(ROOT, "node_modules")), dirname(NODE)].filter(
    (path) => !path.startsWith("/usr/"),
  );
  const args = [
    ...NSPAWN,
    `--machine=hf-test-${process.pid}`,
    `--bind=${folder}:/hf`,
    ...visible.map((path) => `--bind-ro=${path}`),
    `--bind-ro=${folder}/units:/run/systemd/system.control`,
    "systemd.unit=hf-test.target",
  ];
  const { stdout, stderr } = spawnSync("systemd-nspawn", args, { encoding: "utf8", timeout: LIMIT_MS });
  const seen = join(folder, "seen");
  if (!existsSync(seen)) throw new Error(`the container did not start:\n${stdout}\n${stderr}`);
  return new Map(
    readFileSync(seen, "utf8")
      .split("\n")
      .flatMap((line): [string, string][] => {
        const at = line.indexOf("=");
        return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1).trim()]];
      }),
  );
}

describe.skipIf(why !== undefined)(`under a real systemd${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let seen: ReadonlyMap<string, string>;
  let details = "";
  beforeAll(() => {
    using folder = new Folder();
    prepare(folder.path);
    seen = runBox(folder.path);
    details = ["errors", "journal"]
      .map((name) => join(folder.path, name))
      .map((path) => (existsSync(path) ? readFileSync(path, "utf8") : ""))
      .join("\n");
  }, LIMIT_MS);

  const see = (name: string) => expect(seen.get(name), details);

  test("both start, and say how they are", () => {
    see("server_active").toBe("active");
    see("server_status").toBe("Serving agents at 127.0.0.1:8081");
    see("agent_active").toBe("active");
    see("agent_status").toBe("Serving 1 identity; server reached");
  });

  test("in the sandbox, as its own user, the agent attests path and hash of another user's program", () => {
    see("user").toMatch(/^holdfas/);
    // CAP_SYS_PTRACE.
    see("capabilities").toBe("0000000000080000");
    see("fetched").toBe(ID);
  });

  test("the stored SVIDs are sealed by an encrypted credential", () => {
    see("storage").toMatch(/systemd credential/);
  });

  test("restarted and killed without the server, it refuses no connection, and serves at once", () => {
    for (const round of [1, 2, 3, 4, 5]) see(`after_restart_${round}`).toBe(ID);
    see("after_kill").toBe(ID);
    see("calls_refused").toBe("0");
    expect(Number(seen.get("calls_made")), details).toBeGreaterThan(50);
  });

  test("a caller starts it, and a reload leaves it running", () => {
    see("activated").toBe(ID);
    see("reloaded").toBe("yes");
    see("active_after_reload").toBe("active");
  });

  test("one that hangs is killed by the watchdog and started again", () => {
    see("watchdog").toBe("yes");
    see("after_hang").toBe(ID);
  });
});
