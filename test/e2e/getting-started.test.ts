/** The commands of docs/getting-started.md, in their order, print what the page says. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { isServing } from "../../scripts/lib/local-rpc.ts";
import { freePort } from "../../scripts/lib/programs.ts";
import { Daemon, Folder, run } from "./support.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
/** The page's default paths and ports, which are this machine's too, go where the test may write. */
const SERVER_SOCKET = "/tmp/spire-server/private/api.sock";
const AGENT_SOCKET = "/tmp/spire-agent/public/api.sock";

/** The numbered steps, each with its command and the text that follows as its output. */
function steps(page: string): { readonly command: string; readonly output: string }[] {
  return page
    .split(/^## \d+\. /m)
    .slice(1)
    .map((step) => ({
      command: /^```sh\n([\s\S]*?)```$/m.exec(step)?.[1] ?? "",
      output: /^```text\n([\s\S]*?)```$/m.exec(step)?.[1] ?? "",
    }));
}

/** What is the same in each run. */
function plain(text: string): string {
  return text
    .replace(/after [\d.]+m?s/, "after …")
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "…")
    .replace(new RegExp(UUID, "g"), "…")
    .replace(/uid:\d+/g, "uid:…");
}

test("ten commands lead from nothing to an identity, and away from it", { timeout: 60_000 }, async () => {
  using folder = new Folder();
  const inFolder = (name: string): string => join(folder.path, name);
  const sockets = { server: inFolder("admin/api.sock"), agent: inFolder("public/api.sock") };
  const port = String(await freePort());
  const env = { ...process.env, PATH: `${ROOT}/bin:${process.env.PATH}`, SPIRE_SERVER_PRIVATE_SOCKET: sockets.server };
  /** Values of this run in place of the page's. */
  const known = new Map([["8081", port]]);
  const here = (command: string): string => {
    let text = command.trim();
    for (const [theirs, ours] of known) text = text.replaceAll(theirs, ours);
    if (text.startsWith("holdfast-agent api")) return `${text} -socketPath ${sockets.agent}`;
    return text.replace(/"\.\/(server|agent)"\n/, (line, name: "server" | "agent") => {
      return `${line}  socket_path = "${sockets[name]}"\n`;
    });
  };
  const shell = async (command: string): Promise<string> => {
    const { status, stdout, stderr } = await run("sh", ["-c", `cd "${folder.path}" && ${here(command)}`], { env });
    expect([status, stderr]).toEqual([0, ""]);
    return stdout;
  };
  const start = (name: string, command: string): Daemon =>
    new Daemon(name, "sh", ["-c", `cd "${folder.path}" && exec ${here(command)}`], inFolder(`${name}.log`), env);

  const page = readFileSync(join(ROOT, "docs/getting-started.md"), "utf8");
  const all = steps(page);
  expect(all).toHaveLength(10);
  const [server, agent, runServer, token, bundle, runAgent, create, fetch, watch, remove] = all.map(
    ({ command }) => command,
  ) as [string, string, string, string, string, string, string, string, string, string];
  const learn = (shown: string | undefined, printed: string): void => {
    known.set(UUID.exec(shown ?? "")?.[0] ?? "", UUID.exec(printed)?.[0] ?? "");
  };

  await shell(server);
  await shell(agent);
  await using serverProgram = start("server", runServer);
  await serverProgram.until("answer", () => isServing(sockets.server));
  const tokenPrinted = await shell(token);
  expect(plain(tokenPrinted)).toBe(plain(all[3]?.output ?? ""));
  learn(all[3]?.output, tokenPrinted);
  expect(await shell(bundle)).toBe("");
  await using agentProgram = start("agent", runAgent);
  await agentProgram.until("answer", () => isServing(sockets.agent));
  const created = await shell(create);
  expect(plain(created).trim()).toBe(plain(all[6]?.output ?? "").trim());
  learn(all[6]?.output, created);
  expect(plain(await shell(fetch)).trim()).toBe(plain(all[7]?.output ?? "").trim());
  await using watcher = start("watch", watch);
  await watcher.until("SVID", () => watcher.log().includes("Received 1 svid"));
  expect(plain(await shell(remove)).trim()).toBe(plain(all[9]?.output ?? "").trim());
  await watcher.until("refusal", () => watcher.log().includes("desc = no identity issued"));
  for (const log of [serverProgram.log(), agentProgram.log()]) expect(log).not.toMatch(/level=(error|fatal)/);
  // Its default paths are the programs' own.
  expect(page).toContain(SERVER_SOCKET);
  expect(page).toContain(AGENT_SOCKET);
});
