/** Rows: certificates per second, as agents get them and as an administrator does. */
import {
  BatchNewX509SVIDRequest,
  BatchNewX509SVIDResponse,
  MintX509SVIDRequest,
  MintX509SVIDResponse,
  SVIDService,
} from "../../src/gen/spire/api/server/svid/v1/svid.ts";
import { createCsr } from "../../src/pki/csr.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { parseSpiffeId } from "../../src/spiffe/id.ts";
import { costOf } from "../lib/cost.ts";
import { base64, joinNode } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { eventually, prepared } from "../lib/prepared.ts";
import { ratioAtLeast, ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { Worker } from "../lib/worker.ts";
import type { ServerOperations } from "../server-client.ts";

const LANES = 8;
const A_BATCH = 50;

/** Batches, over TLS with a node's certificate. */
export const batchSign: Scenario = {
  name: "batch-sign",
  title: `BatchNewX509SVID, ${A_BATCH} a batch, ${LANES} callers`,
  warm: true,
  measures: [
    { key: "rate", label: "SVIDs", unit: "/s" },
    { key: "cpu", label: "server's CPU per SVID", unit: "µs", target: ratioAtMost(0.5) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, { serverOnly: true }));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const node = await joinNode(pair, client, pair.token);
      const entries = await pair.admin.createEntries(pair.ofOthers(A_BATCH), A_BATCH);
      const csrs = await Promise.all(entries.map(async () => createCsr({ privateKey: await generateKey("ec-p256") })));
      const request = BatchNewX509SVIDRequest.fromPartial({
        params: entries.map((entryId, index) => ({ entryId, csr: csrs[index] as Uint8Array })),
      });
      const order = {
        to: node.address,
        path: SVIDService.batchNewX509Svid.path,
        requests: [base64(BatchNewX509SVIDRequest.encode(request).finish())],
        lanes: LANES,
      };
      const check = (last: string): void => {
        const { results } = BatchNewX509SVIDResponse.decode(Buffer.from(last, "base64"));
        const refused = results.find(({ status }) => status?.code !== 0);
        if (results.length !== A_BATCH || refused !== undefined)
          throw new Error(`a batch was not signed: ${refused?.status?.message ?? `${results.length} results`}`);
      };
      // A server may take seconds to see new entries.
      await eventually(async () => check((await client.call("calls", { ...order, count: 1, lanes: 1 })).last));
      const count = context.quick ? 16 : 160;
      return async () => {
        const { result, cpu } = await costOf(pair.pidOf(pair.server), () => client.call("calls", { ...order, count }));
        check(result.last);
        return { rate: (count * A_BATCH * 1e6) / result.micros, cpu: cpu / (count * A_BATCH) };
      };
    }),
};

/** One a call, on the administration socket. */
export const mint: Scenario = {
  name: "mint",
  title: `MintX509SVID, ${LANES} callers`,
  warm: true,
  measures: [
    { key: "rate", label: "rate", unit: "/s", target: ratioAtLeast(1.5) },
    { key: "cpu", label: "server's CPU each", unit: "µs" },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, { serverOnly: true }));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const csr = await createCsr({
        privateKey: await generateKey("ec-p256"),
        spiffeId: parseSpiffeId(`spiffe://${pair.site.trustDomain}/minted`),
      });
      const order = {
        to: { socket: pair.site.serverSocket },
        path: SVIDService.mintX509Svid.path,
        requests: [base64(MintX509SVIDRequest.encode({ csr, ttl: 0 }).finish())],
        lanes: LANES,
        count: context.quick ? 400 : 6_000,
      };
      return async () => {
        const { result, cpu } = await costOf(pair.pidOf(pair.server), () => client.call("calls", order));
        const { svid } = MintX509SVIDResponse.decode(Buffer.from(result.last, "base64"));
        if ((svid?.certChain.length ?? 0) === 0) throw new Error("nothing was minted");
        return { rate: (order.count * 1e6) / result.micros, cpu: cpu / order.count };
      };
    }),
};
