/** `AttestAgent` as an agent calls it: a payload, answers to challenges, a certificate at the end. */
import {
  AgentService,
  AttestAgentRequest,
  AttestAgentResponse,
} from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import type { Connection } from "./connection.ts";
import { grpcHeaders } from "./frames.ts";

/** A node that wants in. */
export interface Candidate {
  /** The attestation's type and payload, and the CSR. */
  readonly type: string;
  readonly payload: Uint8Array;
  readonly csr: Uint8Array;
  /** Answers a challenge. */
  readonly respond: (challenge: Uint8Array) => Promise<Uint8Array>;
}

const HEADERS = grpcHeaders(AgentService.attestAgent.path);

/** Attests a node; how many challenges it took. Throws unless the node was let in. */
export function attestOver(connection: Connection, { type, payload, csr, respond }: Candidate): Promise<number> {
  return new Promise((resolve, reject) => {
    let challenges = 0;
    let isIn = false;
    const send = (step: AttestAgentRequest["step"]): void =>
      connection.send(stream, AttestAgentRequest.encode({ step }).finish(), false);
    const stream = connection.call(HEADERS, {
      keep: true,
      message(_length, bytes) {
        const { step } = AttestAgentResponse.decode(bytes ?? new Uint8Array(0));
        if (step?.$case === "challenge") {
          challenges++;
          respond(step.value).then((value) => send({ $case: "challengeResponse", value }), reject);
        } else if (step?.$case === "result") {
          isIn = (step.value.svid?.certChain.length ?? 0) > 0;
          connection.finish(stream);
        }
      },
      end() {
        if (isIn) resolve(challenges);
        else reject(new Error("a node was not let in; the server's log says why"));
      },
    });
    send({ $case: "params", value: { data: { type, payload }, params: { csr } } });
  });
}
