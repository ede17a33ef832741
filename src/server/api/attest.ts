/** `AttestAgent`: a node proves what it is, and becomes an agent. */

import type { AttestResult, ServerNodeAttestor } from "../../attestors/node.ts";
import {
  AgentService,
  type AttestAgentRequest,
  AttestAgentResponse,
} from "../../gen/spire/api/server/agent/v1/agent.ts";
import { publicError } from "../../lib/errors.ts";
import { ChallengeRounds } from "./challenge-rounds.ts";
import { readCsr } from "./csr.ts";
import { type EnrolDeps, enrol, NodeLookup } from "./enrol.ts";
import { bidiMethod, type Encoded, type NamedMethod } from "./method.ts";
import { svidToMessage } from "./wire.ts";

/** What the method needs. */
export interface AttestDeps extends EnrolDeps {
  /** By attestation type. */
  readonly attestors: ReadonlyMap<string, ServerNodeAttestor>;
}

/** What the first message asks. */
interface Proof {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly csr: Uint8Array;
}

const CSR_WORDS = { missing: "missing CSR", malformed: "failed to parse CSR", badSignature: "invalid CSR signature" };

/** The method. */
export function attestMethods(deps: AttestDeps): readonly NamedMethod[] {
  return [
    bidiMethod(AgentService.attestAgent, async function* (incoming, context, signal): AsyncGenerator<Encoded> {
      await context.rateLimit(1, signal);
      const proof = readProof(await incoming.next());
      context.audit({ node_attestor_type: proof.type });
      const attestor = deps.attestors.get(proof.type);
      if (attestor === undefined) {
        throw publicError(
          "FAILED_PRECONDITION",
          `error getting node attestor: could not find node attestor type "${proof.type}"`,
        );
      }
      // Before the proof is judged, so that a bad request costs nobody a one-time token.
      const csr = await readCsr(proof.csr, CSR_WORDS);
      const csrPublicKey = csr.publicKey;
      const nodes = new NodeLookup(deps);
      const peerAddress = context.caller.kind === "tls" ? context.caller.address : "";

      const rounds = new ChallengeRounds();
      const ceremony = new AbortController();
      const judged = attestor.attest(
        { payload: proof.payload, csrPublicKey, peerAddress, nodes },
        rounds.ask,
        AbortSignal.any([signal, ceremony.signal]),
      );
      let result: AttestResult | undefined;
      try {
        for (;;) {
          const step = await Promise.race([judged, rounds.next()]);
          if (!(step instanceof Uint8Array)) {
            result = step;
            break;
          }
          yield AttestAgentResponse.encode({ step: { $case: "challenge", value: step } }).finish();
          rounds.answer(readAnswer(await incoming.next()));
        }
      } catch (error) {
        rounds.fail(error);
        throw error;
      } finally {
        // Also when the agent has gone: the attestor must not wait for it.
        rounds.fail(signal.reason);
        ceremony.abort(signal.reason);
        await judged.catch(() => {});
      }
      context.audit({ agent_id: result.agentId });
      const issued = await enrol(deps, { type: proof.type, result, spki: csr.spki, nodes });
      deps.log.info("Agent attestation request completed", {
        agent_id: result.agentId,
        node_attestor_type: proof.type,
        address: peerAddress,
      });
      result.enrolled?.();
      const svid = svidToMessage(result.agentId, issued);
      yield AttestAgentResponse.encode({
        step: { $case: "result", value: { svid, reattestable: result.canReattest } },
      }).finish();
    }),
  ];
}

function readProof(first: IteratorResult<AttestAgentRequest>): Proof {
  const step = first.done === true ? undefined : first.value.step;
  const params = step?.$case === "params" ? step.value : undefined;
  if (params === undefined) throw malformed("missing params");
  if (params.data === undefined) throw malformed("missing attestation data");
  if (params.params === undefined) throw malformed("missing X509-SVID parameters");
  if (params.params.csr.length === 0) throw malformed("missing CSR");
  if (params.data.type === "") throw malformed("missing attestation data type");
  if (params.data.payload.length === 0) throw malformed("missing attestation data payload");
  return { type: params.data.type, payload: params.data.payload, csr: params.params.csr };
}

function readAnswer(message: IteratorResult<AttestAgentRequest>): Uint8Array {
  if (message.done === true) throw publicError("INVALID_ARGUMENT", "failed to receive challenge from agent: no answer");
  const { step } = message.value;
  if (step?.$case !== "challengeResponse") throw malformed("missing challenge response");
  return step.value;
}

function malformed(why: string): Error {
  return publicError("INVALID_ARGUMENT", `malformed param: ${why}`);
}
