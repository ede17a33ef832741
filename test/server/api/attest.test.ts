import { createPublicKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { AttestResult, NodeFacts, ServerNodeAttestor } from "../../../src/attestors/node.ts";
import { AgentService } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { publicError } from "../../../src/lib/errors.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { createCsr } from "../../../src/pki/csr.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { validateX509Svid } from "../../../src/pki/validate.ts";
import { parseSpiffeId, type SpiffeId } from "../../../src/spiffe/id.ts";
import { type Line, SoftServer } from "../../attestors/tpm/server-harness.ts";
import { id, selectors, TD } from "../../fakes/entries.ts";
import { type Quote, SoftAgent } from "../../fakes/soft-tpm/agent.ts";
import { softEk } from "../../fakes/soft-tpm/tpm.ts";
import {
  attest,
  CallError,
  call,
  converse,
  failure,
  newAgent,
  newToken,
  startServer,
  type TestServer,
  toSvid,
} from "../harness.ts";

/** An attestor that asks as many questions as it is told, and believes answers that repeat them. */
function quiz(rounds: number, result: Partial<AttestResult> = {}, name = "quiz"): ServerNodeAttestor {
  return {
    name,
    async attest({ payload, csrPublicKey, peerAddress, nodes }, challenge) {
      const agentId = result.agentId ?? id(`/spire/agent/${name}/${Buffer.from(payload).toString()}`);
      if (result.canReattest === false && (await nodes.isAttested(agentId))) {
        throw publicError("PERMISSION_DENIED", "attestation data has already been used to attest an agent");
      }
      if (csrPublicKey.type !== "public" || peerAddress !== "127.0.0.1") throw new Error("wrong request");
      for (let round = 0; round < rounds; round++) {
        const answer = await challenge(Buffer.from(`q${round}`));
        if (Buffer.from(answer).toString() !== `q${round}`)
          throw publicError("PERMISSION_DENIED", "attestation failed");
      }
      return { agentId, selectors: selectors("quiz:b:1", "quiz:a:1", "quiz:b:1"), canReattest: true, ...result };
    },
  };
}

async function csrOf(): Promise<{ csr: Uint8Array; privateKey: Awaited<ReturnType<typeof generateKey>> }> {
  const privateKey = await generateKey("ec-p256");
  return { csr: await createCsr({ privateKey }), privateKey };
}

/** Attests with any attestor, repeating what it asks; the last message. */
async function attestWith(server: TestServer, type: string, payload: string, answer = (q: Uint8Array) => q) {
  const { csr, privateKey } = await csrOf();
  const stream = converse(await server.connect(), AgentService.attestAgent);
  stream.send({ step: { $case: "params", value: { data: { type, payload: Buffer.from(payload) }, params: { csr } } } });
  for (;;) {
    const response = await stream.next();
    if (response?.step?.$case === "result") {
      return { svid: toSvid(response.step.value.svid, privateKey), reattestable: response.step.value.reattestable };
    }
    if (response?.step === undefined) throw new Error("no result");
    stream.send({ step: { $case: "challengeResponse", value: answer(response.step.value) } });
  }
}

/** A whole ceremony of an agent with a TPM; the ID that it gets. */
async function attestTpm(server: TestServer, agent: SoftAgent): Promise<SpiffeId> {
  const csr = await createCsr({ privateKey: agent.csr.privateKey });
  const stream = converse(await server.connect(), AgentService.attestAgent);
  stream.send(params({ type: "tpm", payload: agent.payload }, { csr }));
  for (;;) {
    const { step } = (await stream.next()) ?? {};
    if (step?.$case === "result") return toSvid(step.value.svid, agent.csr.privateKey).spiffeId;
    if (step === undefined) throw new Error("no result");
    stream.send({ step: { $case: "challengeResponse", value: await agent.respond(step.value) } });
  }
}

describe("a join token", () => {
  test("makes an agent, whose SVID holds and whose row is stored", async () => {
    const server = await startServer();
    const token = await newToken(server);
    const svid = await attest(server, token);
    expect(svid.spiffeId).toBe(id(`/spire/agent/join_token/${token}`));
    const authorities = (await server.store.bundles.get(TD))?.x509Authorities ?? [];
    const { leaf } = validateX509Svid(
      svid.chain,
      authorities.map(({ certificate }) => certificate),
      { now: server.clock.now(), expectedId: svid.spiffeId },
    );
    expect(Buffer.from(leaf.spki)).toEqual(Buffer.from(spkiOf(createPublicKey(svid.privateKey))));
    expect(await server.store.nodes.get(svid.spiffeId)).toEqual({
      agentId: svid.spiffeId,
      attestationType: "join_token",
      serial: leaf.serial,
      expiresAt: leaf.notAfter / 1000,
      pendingSerial: "",
      pendingExpiresAt: 0,
      canReattest: false,
      agentVersion: "",
      selectors: [],
      facts: {},
    });
  });

  test("is spent once, also by two who come at the same moment", async () => {
    const server = await startServer();
    const token = await newToken(server);
    const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => attest(server, token)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "fulfilled") continue;
      expect(outcome.reason).toMatchObject({
        code: GrpcCode.INVALID_ARGUMENT,
        details: "failed to attest: join token does not exist or has already been used",
      });
    }
  });

  test("that expired is refused, and spent by it", async () => {
    const server = await startServer();
    const token = await newToken(server);
    server.clock.setWall(server.clock.now() + 601_000);
    expect(await failure(attest(server, token))).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      details: "join token expired",
    });
    expect((await failure(attest(server, token))).details).toContain("has already been used");
  });

  test("is not lost to a bad request", async () => {
    const server = await startServer();
    const token = await newToken(server);
    const { csr } = await csrOf();
    // The last bytes are the self-signature's.
    const forged = Uint8Array.from(csr);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    const data = { type: "join_token", payload: Buffer.from(token) };
    for (const [bytes, why] of [
      [forged, "invalid CSR signature"],
      [Buffer.from("no CSR"), "failed to parse CSR"],
    ] as const) {
      const stream = converse(await server.connect(), AgentService.attestAgent);
      stream.send({ step: { $case: "params", value: { data, params: { csr: bytes } } } });
      const refused = await failure(stream.next());
      expect(refused.code).toBe(GrpcCode.INVALID_ARGUMENT);
      expect(refused.details).toContain(why);
    }
    await attest(server, token);
  });

  test("gives the alias that the operator chose", async () => {
    const server = await startServer();
    const token = await newToken(server, id("/fleet"));
    const agentId = id(`/spire/agent/join_token/${token}`);
    const { items } = await server.store.entries.list({ parentId: agentId }, { size: 0, token: "" });
    expect(items).toMatchObject([{ spiffeId: id("/fleet"), selectors: [{ type: "spiffe_id", value: agentId }] }]);
  });

  test.each([
    [{ ttl: 0, token: "", agentId: undefined }, "ttl is required, you must provide one"],
    [{ ttl: -1, token: "", agentId: undefined }, "ttl is required, you must provide one"],
    [{ ttl: 1, token: "a/b", agentId: undefined }, "invalid token"],
    [{ ttl: 1, token: "..", agentId: undefined }, "invalid token"],
    [{ ttl: 1, token: "x".repeat(256), agentId: undefined }, "invalid token"],
    [{ ttl: 1, token: "", agentId: { trustDomain: "example.org", path: "/spire/x" } }, "invalid agent ID"],
    [{ ttl: 1, token: "", agentId: { trustDomain: "other.org", path: "/x" } }, "invalid agent ID"],
    [{ ttl: 1, token: "", agentId: { trustDomain: "example.org", path: "" } }, "invalid agent ID"],
  ])("is not made of %j", async (request, why) => {
    const server = await startServer();
    const refused = await failure(call(server.admin, AgentService.createJoinToken, request));
    expect(refused.code).toBe(GrpcCode.INVALID_ARGUMENT);
    expect(refused.details).toContain(why);
  });

  test("that exists already is not made again, nor its alias", async () => {
    const server = await startServer();
    const request = { ttl: 60, token: "mine", agentId: { trustDomain: "example.org", path: "/one" } };
    expect(await call(server.admin, AgentService.createJoinToken, request)).toEqual({
      value: "mine",
      expiresAt: BigInt(Math.floor(server.clock.now() / 1000) + 60),
    });
    const again = { ...request, agentId: { trustDomain: "example.org", path: "/two" } };
    expect((await failure(call(server.admin, AgentService.createJoinToken, again))).code).toBe(GrpcCode.ALREADY_EXISTS);
    expect(await server.store.entries.count({})).toBe(1);
  });
});

describe("the first message", () => {
  const csr = Buffer.from("x");
  const data = { type: "join_token", payload: Buffer.from("x") };
  test.each([
    [{ step: undefined }, "malformed param: missing params"],
    [{ step: { $case: "challengeResponse", value: csr } }, "malformed param: missing params"],
    [params(undefined, { csr }), "malformed param: missing attestation data"],
    [params(data, undefined), "malformed param: missing X509-SVID parameters"],
    [params(data, { csr: Buffer.alloc(0) }), "malformed param: missing CSR"],
    [params({ ...data, type: "" }, { csr }), "malformed param: missing attestation data type"],
    [params({ ...data, payload: Buffer.alloc(0) }, { csr }), "malformed param: missing attestation data payload"],
  ] as const)("has to be whole: %#", async (message, why) => {
    const server = await startServer();
    const stream = converse(await server.connect(), AgentService.attestAgent);
    stream.send(message);
    expect(await failure(stream.next())).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT, details: why });
  });

  test("has to come", async () => {
    const server = await startServer();
    const stream = converse(await server.connect(), AgentService.attestAgent);
    stream.end();
    expect((await failure(stream.next())).details).toBe("malformed param: missing params");
  });

  test("has to name an attestor that there is", async () => {
    const server = await startServer();
    expect(await failure(attestWith(server, "nope", "x"))).toMatchObject({
      code: GrpcCode.FAILED_PRECONDITION,
      details: 'error getting node attestor: could not find node attestor type "nope"',
    });
  });

  test("has to be a message", async () => {
    const server = await startServer();
    const garbage = { ...AgentService.attestAgent, requestSerialize: () => Buffer.from([0xff, 0xff, 0xff]) };
    const stream = converse(await server.connect(), garbage);
    stream.send({ step: undefined });
    expect((await failure(stream.next())).code).toBe(GrpcCode.INVALID_ARGUMENT);
  });
});

describe("an attestor", () => {
  test("may ask and be answered, and its selectors are a set", async () => {
    const server = await startServer({ attestors: [quiz(3)], options: { agentIdAsSelector: true } });
    const { svid, reattestable } = await attestWith(server, "quiz", "one");
    expect(svid.spiffeId).toBe(id("/spire/agent/quiz/one"));
    expect(reattestable).toBe(true);
    expect(await server.store.nodes.get(svid.spiffeId)).toMatchObject({
      attestationType: "quiz",
      canReattest: true,
      selectors: selectors("quiz:a:1", "quiz:b:1", `spiffe_id:${svid.spiffeId}`),
    });
  });

  test("that does not believe the answer refuses with its own words", async () => {
    const server = await startServer({ attestors: [quiz(2)] });
    expect(await failure(attestWith(server, "quiz", "one", () => Buffer.from("?")))).toMatchObject({
      code: GrpcCode.PERMISSION_DENIED,
      details: "attestation failed",
    });
    expect(await server.store.nodes.count({})).toBe(0);
  });

  test("may not ask for ever", async () => {
    const server = await startServer({ attestors: [quiz(1_000)] });
    expect((await failure(attestWith(server, "quiz", "one"))).code).toBe(GrpcCode.RESOURCE_EXHAUSTED);
  });

  test("gets no answer that is something else, and none from a stream that ends", async () => {
    const server = await startServer({ attestors: [quiz(1)] });
    const { csr } = await csrOf();
    const first = params({ type: "quiz", payload: Buffer.from("one") }, { csr });
    for (const answer of ["params", "end"]) {
      const stream = converse(await server.connect(), AgentService.attestAgent);
      stream.send(first);
      expect((await stream.next())?.step?.$case).toBe("challenge");
      if (answer === "params") stream.send(first);
      else stream.end();
      expect((await failure(stream.next())).code).toBe(GrpcCode.INVALID_ARGUMENT);
    }
  });

  test("is told when the agent goes away", async () => {
    let told = (): void => {};
    const gone = new Promise<void>((resolve) => {
      told = resolve;
    });
    let started = (): void => {};
    const attesting = new Promise<void>((resolve) => {
      started = resolve;
    });
    const waiting: ServerNodeAttestor = {
      name: "waiting",
      async attest(_request, challenge, signal) {
        signal.addEventListener("abort", () => told());
        started();
        await challenge(Buffer.from("q"));
        throw new Error("answered");
      },
    };
    const server = await startServer({ attestors: [waiting] });
    const { csr } = await csrOf();
    const stream = converse(await server.connect(), AgentService.attestAgent);
    stream.send(params({ type: "waiting", payload: Buffer.from("one") }, { csr }));
    await attesting;
    stream.cancel();
    await gone;
  });

  test.each([
    ["another attestor's name", id("/spire/agent/join_token/x")],
    ["the server's ID", id("/spire/server")],
    ["no name at all", id("/spire/agent/quiz")],
    ["a workload's ID", id("/workload")],
    ["another trust domain", parseSpiffeId("spiffe://other.org/spire/agent/quiz/x")],
  ])("may not give away %s", async (_what, agentId) => {
    const server = await startServer({ attestors: [quiz(0, { agentId })] });
    const refused = await failure(attestWith(server, "quiz", "x"));
    expect(refused).toMatchObject({
      code: GrpcCode.INTERNAL,
      details: "invalid agent ID: not in the namespace of the node attestor",
    });
    expect(await server.store.nodes.count({})).toBe(0);
  });

  test("that trusts the first use is not raced", async () => {
    const server = await startServer({ attestors: [quiz(1, { canReattest: false })] });
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => attestWith(server, "quiz", "one")));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
    }
  });

  test("that crashes says nothing of it to the agent", async () => {
    const broken: ServerNodeAttestor = { name: "broken", attest: () => Promise.reject(new Error("secret")) };
    const server = await startServer({ attestors: [broken] });
    expect(await failure(attestWith(server, "broken", "x"))).toMatchObject({
      code: GrpcCode.INTERNAL,
      details: "internal error",
    });
    expect(server.lines.some(({ fields }) => fields.error === "secret")).toBe(true);
  });
});

describe("attesting anew", () => {
  test("replaces the SVID, and the former one is not active any more", async () => {
    const server = await startServer({ attestors: [quiz(1)] });
    const first = await attestWith(server, "quiz", "one");
    const second = await attestWith(server, "quiz", "one");
    const post = async (svid: typeof first.svid) =>
      await call(await server.connect(svid), AgentService.postStatus, { currentBundleSerial: 0n, agentVersion: "1" });
    expect(await failure(post(first.svid))).toMatchObject({
      code: GrpcCode.PERMISSION_DENIED,
      reason: "AGENT_NOT_ACTIVE",
    });
    await post(second.svid);
  });

  test("without facts keeps those of before; new ones replace them all", async () => {
    const known: { facts?: NodeFacts } = {};
    const plain = quiz(1);
    const attestor: ServerNodeAttestor = {
      name: "quiz",
      attest: async (...args) => ({ ...(await plain.attest(...args)), ...known }),
    };
    const server = await startServer({ attestors: [attestor] });
    const stored = async () => {
      const { svid } = await attestWith(server, "quiz", "one");
      return (await server.store.nodes.get(svid.spiffeId))?.facts;
    };
    expect(await stored()).toEqual({});
    known.facts = { reset_count: "7", "pcr:sha256:7": "77" };
    expect(await stored()).toEqual(known.facts);
    delete known.facts;
    expect(await stored()).toEqual({ reset_count: "7", "pcr:sha256:7": "77" });
    known.facts = { reset_count: "8" };
    expect(await stored()).toEqual({ reset_count: "8" });
  });

  test("by a TPM that quoted before and does not now keeps what it told, and the log warns", async () => {
    using tpm = new SoftServer();
    const lines: Line[] = [];
    const server = await startServer({ attestors: [await tpm.attestor({}, lines)] });
    const ek = softEk("ec-p256");
    const first = await attestTpm(server, new SoftAgent(tpm.vendor, { ek }));
    const { facts } = (await server.store.nodes.get(first)) ?? {};
    expect(facts).toMatchObject({ reset_count: "7" });
    expect(lines.filter(({ level }) => level === "warn")).toEqual([]);
    const message = "The node quoted its PCRs when it attested before, and did not now";
    for (const times of [1, 2]) {
      expect(await attestTpm(server, new SoftAgent(tpm.vendor, { ek, banks: null }))).toBe(first);
      expect((await server.store.nodes.get(first))?.facts).toEqual(facts);
      expect(lines.filter(({ level }) => level === "warn")).toEqual(
        Array.from({ length: times }, () => ({ level: "warn", message, fields: { agent_id: first } })),
      );
    }
  });

  test("by a TPM that is banned tells nothing of its drift", async () => {
    using tpm = new SoftServer();
    const lines: Line[] = [];
    const server = await startServer({ attestors: [await tpm.attestor({}, lines)] });
    const ek = softEk("ec-p256");
    const agentId = await attestTpm(server, new SoftAgent(tpm.vendor, { ek }));
    await server.store.nodes.update(agentId, { serial: "", pendingSerial: "" });
    const told = lines.length;
    for (const spoil of [
      { banks: null },
      { quote: ({ attest: made }: Quote) => ({ attest: { ...made, resetCount: 8, firmware: 1n } }) },
    ]) {
      const refused = await failure(attestTpm(server, new SoftAgent(tpm.vendor, { ek, ...spoil })));
      expect(refused.details).toBe("failed to attest: agent is banned");
    }
    expect(lines.slice(told).filter(({ level }) => level !== "debug")).toEqual([]);
  });

  test("calls back once the node is stored, and not when it is refused", async () => {
    const calls: boolean[] = [];
    const agentId = id("/spire/agent/quiz/one");
    const server = await startServer({
      attestors: [
        quiz(1, { enrolled: () => void calls.push(true) }),
        quiz(0, { agentId, enrolled: () => void calls.push(false) }, "alien"),
      ],
    });
    await attestWith(server, "quiz", "one");
    expect(calls).toEqual([true]);
    // Not in its own namespace
    await failure(attestWith(server, "alien", "one"));
    await failure(attestWith(server, "quiz", "one", () => Buffer.from("?")));
    await server.store.nodes.update(agentId, { serial: "", pendingSerial: "" });
    await failure(attestWith(server, "quiz", "one"));
    expect(calls).toEqual([true]);
  });

  test("does not lift a ban", async () => {
    const server = await startServer({ attestors: [quiz(1)] });
    const { svid } = await attestWith(server, "quiz", "one");
    await call(server.admin, AgentService.banAgent, {
      id: { trustDomain: "example.org", path: "/spire/agent/quiz/one" },
    });
    const refused = await failure(attestWith(server, "quiz", "one"));
    expect(refused).toMatchObject({
      code: GrpcCode.PERMISSION_DENIED,
      details: "failed to attest: agent is banned",
      reason: undefined,
    });
    expect((await server.store.nodes.get(svid.spiffeId))?.serial).toBe("");
  });

  test("does not lift a ban that comes while the proof is judged", async () => {
    const server = await startServer({ attestors: [quiz(1)] });
    const { svid } = await attestWith(server, "quiz", "one");
    const answer = (question: Uint8Array): Uint8Array => {
      void server.store.nodes.update(svid.spiffeId, { serial: "", pendingSerial: "" });
      return question;
    };
    expect((await failure(attestWith(server, "quiz", "one", answer))).details).toContain("banned");
    expect((await server.store.nodes.get(svid.spiffeId))?.serial).toBe("");
  });
});

test("an agent that just attested finds the entries of its alias", async () => {
  const server = await startServer();
  const { EntryService } = await import("../../../src/gen/spire/api/server/entry/v1/entry.ts");
  const token = await newToken(server, id("/fleet"));
  await server.store.entries.create({
    ...(await server.store.entries.list({}, { size: 1, token: "" })).items[0]!,
    entryId: "below",
    spiffeId: id("/workload"),
    parentId: id("/fleet"),
    selectors: selectors("unix:uid:1"),
  });
  const svid = await attest(server, token);
  const { entries } = await call(await server.connect(svid), EntryService.getAuthorizedEntries, {
    outputMask: undefined,
  });
  expect(entries.map(({ id: entryId }) => entryId)).toContain("below");
});

test("attestation is limited per address when that is on", async () => {
  const server = await startServer({ options: { rateLimit: { attestation: true, signing: true } } });
  const [one, two] = [await newToken(server), await newToken(server)];
  await attest(server, one);
  const waiting = attest(server, two);
  let done = false;
  void waiting.finally(() => {
    done = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(done).toBe(false);
  await server.clock.advance(1_000);
  expect((await waiting).spiffeId).toContain(two);
});

test("agents of one server are refused by another that does not know them", async () => {
  const [one, two] = [await startServer(), await startServer()];
  const { svid } = await newAgent(one);
  const client = await two.connect(svid);
  const refused = await failure(call(client, AgentService.postStatus, { currentBundleSerial: 0n, agentVersion: "" }));
  // The connection ends: nobody says why.
  expect(refused).toBeInstanceOf(CallError);
  expect(refused.code).toBe(GrpcCode.UNAVAILABLE);
});

function params(data: { type: string; payload: Uint8Array } | undefined, csr: { csr: Uint8Array } | undefined) {
  return { step: { $case: "params" as const, value: { data, params: csr } } };
}
