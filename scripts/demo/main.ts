/** The demo: a server and an agent, a workload with an unmodified client, one identity from its first to its last moment. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { admin, type Daemon, freePort, type Site, startServer } from "../lib/programs.ts";
import { JoinByToken } from "./join-token.ts";
import { JoinByTpm } from "./join-tpm.ts";
import { leaveRunning } from "./keep.ts";
import { leftOut, step, summary, verify } from "./steps.ts";
import { fetchOnce, findPython, type Interpreters, installClient, Watcher } from "./workload.ts";

/** Seconds; short, so that a rotation falls into the demo. */
const SVID_TTL = 12;
const NOBODY = 65534;
const WORKLOAD_ID = "spiffe://example.org/web";

const USAGE = `usage: npm run demo -- [--keep] [--join-token]

  --keep         leaves everything running and says how to talk to it
  --join-token   the node joins by a one-time token instead of a software TPM
`;
const flags = process.argv.slice(2);
const unknown = flags.find((flag) => flag !== "--keep" && flag !== "--join-token");
if (unknown !== undefined || flags.includes("--help")) {
  process.stdout.write(
    unknown === undefined || unknown === "--help" ? USAGE : `${unknown} is no flag of the demo\n\n${USAGE}`,
  );
  process.exit(unknown === undefined || unknown === "--help" ? 0 : 2);
}
const keep = flags.includes("--keep");
const joining = flags.includes("--join-token") ? new JoinByToken() : new JoinByTpm();
const uid = process.getuid?.() ?? 0;
const folder = mkdtempSync(join(tmpdir(), "holdfast-demo-"));
chmodSync(folder, 0o755);
const daemons: Daemon[] = [];

let site!: Site;
let client!: Interpreters;
let agentId = "";
let entryId = "";
let healthPort = 0;
let server: Daemon;

try {
  await demo();
  if (keep) await leaveRunning({ site, client, agentId, uid, summary: summary() });
  else console.log(`\n${summary()} Run it with -- --keep to leave it running and try it yourself.`);
} catch {
  console.log("\nThe demo failed. The ends of the logs:");
  for (const daemon of daemons) console.log(`--- ${daemon.name}\n${daemon.log().split("\n").slice(-12).join("\n")}`);
  process.exitCode = 1;
} finally {
  for (const daemon of daemons.toReversed()) await daemon.stop();
  await joining[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}

async function demo(): Promise<void> {
  await step("Install a SPIFFE client that knows nothing of Holdfast (PyPI's spiffe)", async () => {
    const python = findPython();
    verify(python !== undefined, "no python3 found");
    client = await installClient(python, folder);
    return `two copies of one Python: ${client.registered} and ${client.other}`;
  });

  await joining.prepare(folder);

  await step("Start the server: a CA, a SQLite datastore, gRPC on TCP and on an admin socket", async () => {
    healthPort = await freePort();
    site = await joining.makeSite(folder, {
      agentSections: `health_checks {
  listener_enabled = true
  bind_address = "127.0.0.1"
  bind_port = "${healthPort}"
}`,
    });
    server = await startServer(site);
    daemons.push(server);
    return `healthy on 127.0.0.1:${site.port}, trust domain ${site.trustDomain}`;
  });

  const joined = await joining.join(site);
  agentId = joined.agentId;
  daemons.push(joined.agent);

  await step("Ask for an identity that nobody registered", async () => {
    const event = await fetchOnce(client.registered, client.env, site.agentSocket);
    verify(
      event.event === "refused" && isDenied(event.reason),
      `expected PermissionDenied, got ${JSON.stringify(event)}`,
    );
    return "refused: PermissionDenied, no identity issued";
  });

  await step("Register the workload: this user, and this program by its path", async (say) => {
    const selectors = [`unix:uid:${uid}`, `unix:path:${client.registered}`];
    say(
      `holdfast-server entry create -spiffeID ${WORKLOAD_ID} ${selectors.map((selector) => `-selector ${selector}`).join(" ")}`,
    );
    const printed = await admin(site, [
      "entry",
      "create",
      "-parentID",
      agentId,
      "-spiffeID",
      WORKLOAD_ID,
      "-x509SVIDTTL",
      String(SVID_TTL),
      ...selectors.flatMap((selector) => ["-selector", selector]),
    ]);
    entryId = /^Entry ID\s*: (\S+)$/m.exec(printed)?.[1] ?? "";
    verify(entryId !== "", "no entry ID was printed");
    return `entry ${entryId}`;
  });

  await step("The workload asks: the kernel says who it is, and its SVID is there", async () => {
    const event = await fetchOnce(client.registered, client.env, site.agentSocket);
    verify(event.event === "svid" && event.spiffeId === WORKLOAD_ID, `expected an SVID, got ${JSON.stringify(event)}`);
    return `${event.spiffeId}, valid until ${event.notAfter}, ${event.ms} ms after the client's call`;
  });

  await step("The same user, another path: not the registered program", async () => {
    const event = await fetchOnce(client.other, client.env, site.agentSocket);
    verify(
      event.event === "refused" && isDenied(event.reason),
      `expected PermissionDenied, got ${JSON.stringify(event)}`,
    );
    return "refused: PermissionDenied";
  });

  await step("The same program, another user", async () => {
    if (uid !== 0) return leftOut("only root can start a process as another user");
    const event = await fetchOnce(client.registered, client.env, site.agentSocket, NOBODY);
    verify(
      event.event === "refused" && isDenied(event.reason),
      `expected PermissionDenied, got ${JSON.stringify(event)}`,
    );
    return `uid ${NOBODY} refused: PermissionDenied`;
  });

  using watcher = new Watcher(client.registered, client.env, site.agentSocket);
  await step(`An open stream sees its SVID rotated before it expires (lifetime ${SVID_TTL} s)`, async (say) => {
    const first = await watcher.next(10_000);
    verify(first.event === "svid" && first.spiffeId === WORKLOAD_ID, `expected an SVID, got ${JSON.stringify(first)}`);
    say(`serial ${first.serial}, valid until ${first.notAfter}`);
    const second = await watcher.next(SVID_TTL * 1000);
    verify(
      second.event === "svid" && second.serial !== first.serial,
      `expected another SVID, got ${JSON.stringify(second)}`,
    );
    verify(Date.now() < Date.parse(first.notAfter ?? ""), "the rotation came after the SVID had expired");
    return `serial ${second.serial}, valid until ${second.notAfter}; the stream never broke`;
  });

  await step("The server goes away: a new process of the workload is still served", async () => {
    await server.stop();
    const event = await fetchOnce(client.registered, client.env, site.agentSocket);
    verify(event.event === "svid" && event.spiffeId === WORKLOAD_ID, `expected an SVID, got ${JSON.stringify(event)}`);
    server = await startServer(site);
    daemons[0] = server;
    return "served by the agent alone; then the server came back with the same CA and entries";
  });
  await agentInSync();
  await joining.afterwards(site, {
    folder,
    server: () => server,
    agent: () => joined.agent,
    isServed: async () => (await fetchOnce(client.registered, client.env, site.agentSocket)).event === "svid",
  });
  if (keep) return;

  await step("The operator removes the entry: the open stream hears at once", async (say) => {
    await agentInSync();
    say(`holdfast-server entry delete -entryID ${entryId}`);
    const asked = Date.now();
    await admin(site, ["entry", "delete", "-entryID", entryId]);
    let event = await watcher.next(10_000);
    while (event.event === "svid") event = await watcher.next(10_000);
    verify(isDenied(event.reason), `expected PermissionDenied, got ${JSON.stringify(event)}`);
    return `the stream ended with PermissionDenied within ${Date.now() - asked} ms, most of which the command took to start`;
  });
}

/** Waits until the agent hears of changes from the server that came back: its health page says so. */
async function agentInSync(): Promise<void> {
  const agent = daemons[1];
  verify(agent !== undefined, "no agent");
  await agent.until("link to the server that came back", async () => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/ready`);
    const { agent: facts } = (await answer.json()) as { agent: { server_connected: boolean; pushed_updates: boolean } };
    return answer.ok && facts.server_connected && facts.pushed_updates;
  });
}

function isDenied(reason: string | undefined): boolean {
  return /permission_?\s?denied|no identity issued/i.test(reason ?? "");
}
