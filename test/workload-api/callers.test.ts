/** Callers that are not what they were when they connected. Real processes, real kernel. */
import { execFileSync } from "node:child_process";
import { copyFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { status as Status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WorkloadAttestation } from "../../src/agent/workload-attestation.ts";
import { UnixWorkloadAttestor } from "../../src/attestors/unix/workload.ts";
import type { WorkloadAttestor } from "../../src/attestors/workload.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { PeerCredentialsOptions } from "../../src/lib/native.ts";
import { selectorText } from "../../src/spiffe/selector.ts";
import { until } from "../lib/rpc/harness.ts";
import { ApiHarness, FakeSource, identityOf, LogLines, updateOf } from "./harness.ts";
import { Relay, RelayProgram } from "./relay.ts";

const WAYS: readonly [name: string, options: PeerCredentialsOptions][] = [
  ["SO_PEERPIDFD", {}],
  ["pidfd_open", { force: "pidfd-open" }],
  ["the start time", { force: "start-time" }],
];
const root = process.geteuid?.() === 0;
const sleep = realpathSync("/bin/sleep");

let program: RelayProgram;
beforeAll(() => {
  program = new RelayProgram();
});
afterAll(() => program[Symbol.dispose]());

/** An API that attests for real and gives an identity to whoever passes. */
async function start(options: { credentials?: PeerCredentialsOptions; attestors?: readonly WorkloadAttestor[] } = {}) {
  const source = new FakeSource();
  source.everybody.set(updateOf([identityOf("a")]));
  const log = new LogLines();
  const unix = new UnixWorkloadAttestor(
    { clock: systemClock },
    { discoverWorkloadPath: true, workloadSizeLimit: 0, allowOtherMountNamespaces: false },
  );
  const attestation = new WorkloadAttestation({ attestors: options.attestors ?? [unix], log, clock: systemClock });
  source.attested = (peer, signal) => attestation.attest(peer, signal);
  const harness = await ApiHarness.open(source, { credentials: options.credentials ?? {} });
  return { source, harness, log, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

const refused = { code: Status.UNAVAILABLE, text: "workload attestation failed", messages: [] };

/** A caller that has connected, and been accepted. */
async function connected(api: { readonly harness: ApiHarness }, ...act: string[]): Promise<Relay> {
  const relay = await Relay.start([program.path, api.harness.path, "SECOND", ...act], program.folder);
  await until(() => api.harness.api.stats.connections === 1);
  return relay;
}

describe.each(WAYS)("followed by %s", (_name, credentials) => {
  test("connect, fork, and nothing else: the caller is the one that connected, and it is served", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "stay");
    const answer = await relay.fetch(() => api.source.everybody.set(updateOf([])));
    expect(answer.messages).toHaveLength(1);
    expect(answer.code).toBe(Status.PERMISSION_DENIED);
    expect(api.source.peers[0]?.pid).toBe(relay.pid);
    expect(api.source.seen[0]).toContain(`unix:path:${program.path}`);
  });

  test("THE ATTACK: connect, hand the socket to a child, execute something trusted: refused", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "exec", sleep, "60");
    relay.act();
    await relay.executes(sleep);
    expect(await relay.fetch()).toEqual(refused);
    expect(api.source.seen).toEqual([]);
    await relay.disconnected();
    await until(() => api.harness.api.stats.connections === 0);
  });

  test("the same after the first answer: the next push is refused and the connection closed", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "exec", sleep, "60");
    const first = Promise.withResolvers<void>();
    const answer = relay.fetch(() => first.resolve());
    await first.promise;
    relay.act();
    await relay.executes(sleep);
    api.source.everybody.set(updateOf([identityOf("b")]));
    const { messages, code, text } = await answer;
    expect(messages).toHaveLength(1);
    expect({ code, text }).toEqual({ code: refused.code, text: refused.text });
    await relay.disconnected();
  });

  test.skipIf(!root)("(as root) the caller becomes another user: the next push is refused", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "become", "12345");
    const first = Promise.withResolvers<void>();
    const answer = relay.fetch(() => first.resolve());
    await first.promise;
    relay.act();
    await relay.becomes(12_345);
    api.source.everybody.set(updateOf([identityOf("b")]));
    const { messages, code, text } = await answer;
    expect(messages).toHaveLength(1);
    expect({ code, text }).toEqual({ code: refused.code, text: refused.text });
    await relay.disconnected();
  });

  test("a change back in time is none: executing the first program again is allowed", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "exec", program.path, api.harness.path, "SECOND", "stay");
    relay.act();
    await until(() => api.harness.api.stats.connections === 2);
    const answer = relay.fetch(() => api.source.everybody.set(updateOf([])));
    expect((await answer).messages).toHaveLength(1);
  });

  test("the caller exits and a child speaks for it: the call is refused", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "exit");
    relay.act();
    await relay.exited();
    // Where its exit was noticed already, the connection is gone.
    expect([refused, { messages: [] }]).toContainEqual(await relay.fetch());
    await relay.disconnected();
    expect(api.source.seen).toEqual([]);
  });

  test("the caller exits and a child listens on: the stream ends", async () => {
    await using api = await start({ credentials });
    await using relay = await connected(api, "exit");
    const answer = relay.fetch(() => relay.act());
    const { messages, code, text } = await answer;
    expect(messages).toHaveLength(1);
    expect({ code, text }).toEqual({ code: Status.UNAVAILABLE, text: "caller has exited" });
    await relay.disconnected();
    await until(() => api.harness.api.stats.connections === 0 && api.source.everybody.readers === 0);
  });

  test("the caller dies while it is attested: refused, and nothing is left", async () => {
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<readonly []>();
    const slow: WorkloadAttestor = {
      name: "slow",
      attest: () => {
        begun.resolve();
        return go.promise;
      },
    };
    await using api = await start({ credentials, attestors: [slow] });
    await using relay = await connected(api, "stay");
    const answer = relay.fetch();
    await begun.promise;
    relay.kill();
    await relay.exited();
    go.resolve([]);
    expect(await answer).toEqual(refused);
    await relay.disconnected();
    await until(() => api.harness.api.stats.connections === 0);
    expect(api.source.seen).toEqual([]);
  });
});

describe("selectors of real callers", () => {
  test("this process: user, groups, path and digest, of which it said nothing itself (EP-11, EP-12)", async () => {
    await using api = await start();
    await using relay = await connected(api, "stay");
    const answer = relay.fetch(() => api.source.everybody.set(updateOf([])));
    await answer;
    const digest = execFileSync("sha256sum", [program.path]).toString().slice(0, 64);
    const seen = api.source.seen[0] ?? [];
    expect(seen).toContain(`unix:uid:${process.getuid?.()}`);
    expect(seen).toContain(`unix:gid:${process.getgid?.()}`);
    expect(seen).toContain(`unix:path:${program.path}`);
    expect(seen).toContain(`unix:sha256:${digest}`);
    expect(seen).toContain(`unix:user:${execFileSync("id", ["-un"]).toString().trim()}`);
    expect(seen).toEqual([...new Set(seen)].sort());
  });

  test.skipIf(!root)("(as root) a caller of another uid without a name, and its groups", async () => {
    await using api = await start();
    const user = ["setpriv", "--reuid=12345", "--regid=12346", "--groups=12347,4"];
    await using relay = await Relay.start([...user, program.path, api.harness.path, "SECOND", "stay"], program.folder);
    const answer = relay.fetch(() => api.source.everybody.set(updateOf([])));
    expect((await answer).messages).toHaveLength(1);
    const values = (api.source.seen[0] ?? []).filter((text) => !/path|sha256/.test(text));
    expect(values).toEqual([
      "unix:gid:12346",
      "unix:supplementary_gid:12347",
      "unix:supplementary_gid:4",
      "unix:supplementary_group:adm",
      "unix:uid:12345",
    ]);
  });

  test.skipIf(!root)(
    "(as root) the same path in another mount namespace gives no path, the digest tells them apart",
    async () => {
      await using api = await start();
      const trusted = join(program.folder, "trusted");
      const evil = join(program.folder, "evil");
      copyFileSync(sleep, trusted);
      copyFileSync(program.path, evil);
      const script = `mount --bind ${evil} ${trusted} && exec ${trusted} ${api.harness.path} SECOND stay`;
      const command = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script];
      await using relay = await Relay.start(command, program.folder);
      await relay.executes(trusted);
      const answer = relay.fetch(() => api.source.everybody.set(updateOf([])));
      expect((await answer).messages).toHaveLength(1);
      const seen = api.source.seen[0] ?? [];
      expect(seen.filter((text) => text.startsWith("unix:path"))).toEqual([]);
      expect(seen).toContain(`unix:sha256:${execFileSync("sha256sum", [evil]).toString().slice(0, 64)}`);
    },
  );

  test("a program whose file is gone has no path", async () => {
    await using api = await start();
    const copy = join(program.folder, "gone");
    copyFileSync(program.path, copy);
    execFileSync("chmod", ["755", copy]);
    await using relay = await Relay.start([copy, api.harness.path, "SECOND", "stay"], program.folder);
    await until(() => api.harness.api.stats.connections === 1);
    execFileSync("rm", [copy]);
    await relay.fetch(() => api.source.everybody.set(updateOf([])));
    expect(api.source.seen[0]?.some((text) => text.startsWith("unix:path"))).toBe(false);
    expect(api.source.seen[0]?.some((text) => text.startsWith("unix:sha256"))).toBe(true);
  });

  test("selectors and their values are in no log line", async () => {
    await using api = await start();
    await using relay = await connected(api, "stay");
    api.source.everybody.set(updateOf([]));
    await relay.fetch();
    const text = JSON.stringify([...api.log.lines, ...api.harness.log.lines]);
    expect(api.source.seen[0]?.length).toBeGreaterThan(0);
    for (const selector of api.source.seen[0] ?? []) expect(text).not.toContain(selector);
    expect(selectorText({ type: "unix", value: "uid:0" })).toBe("unix:uid:0");
  });
});
