/** Joins a node that has no agent: for clients that speak to the server as an agent does. */
import { readFileSync } from "node:fs";
import {
  AgentService,
  AttestAgentRequest,
  AttestAgentResponse,
} from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import type { SPIFFEID } from "../../src/gen/spire/api/types/spiffeid.ts";
import { createCsr } from "../../src/pki/csr.ts";
import { generateKey, pkcs8Of } from "../../src/pki/keys.ts";
import { pemEncode } from "../../src/pki/pem.ts";
import type { ServerOperations } from "../server-client.ts";
import { idOf } from "./admin.ts";
import type { Address } from "./dial.ts";
import type { Pair } from "./pair.ts";
import type { Worker } from "./worker.ts";

/** A node that joined: as whom to come, and the parent of its entries. */
export interface Node {
  readonly address: Address;
  readonly id: SPIFFEID;
}

/** The server of a pair, for callers without a certificate. */
export function anonymous(pair: Pair): Address {
  return { port: pair.site.port, ca: readFileSync(pair.site.bundle, "utf8") };
}

/** The request that joins with a token. */
export function attestRequest(token: string, csr: Uint8Array): string {
  return base64(
    AttestAgentRequest.encode({
      step: {
        $case: "params",
        value: { data: { type: "join_token", payload: Buffer.from(token) }, params: { csr } },
      },
    }).finish(),
  );
}

/** Spends a token. The pair's own will do where no agent runs. */
export async function joinNode(pair: Pair, client: Worker<ServerOperations>, token: string): Promise<Node> {
  const key = await generateKey("ec-p256");
  const to = anonymous(pair);
  const { last } = await client.call("visits", {
    to,
    path: AgentService.attestAgent.path,
    requests: [attestRequest(token, await createCsr({ privateKey: key }))],
    lanes: 1,
  });
  const { step } = AttestAgentResponse.decode(Buffer.from(last, "base64"));
  const svid = step?.$case === "result" ? step.value.svid : undefined;
  if (svid === undefined) throw new Error("the server made no SVID of a join token");
  return {
    address: {
      ...to,
      key: pemEncode("PRIVATE KEY", pkcs8Of(key)),
      cert: svid.certChain.map((der) => pemEncode("CERTIFICATE", der)).join(""),
    },
    id: idOf(`/spire/agent/join_token/${token}`),
  };
}

/** Bytes for a client's operations. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
