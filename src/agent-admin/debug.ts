/** `spire.agent.debug.v1`: the agent's own SVID and a few counts, as SPIRE's tools print them. */
import { GetInfoRequest, GetInfoResponse, type GetInfoResponse_Cert } from "../gen/spire/api/agent/debug/v1/debug.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorText, publicError } from "../lib/errors.ts";
import { kept } from "../lib/kept.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { type TypedOptions, unary } from "../lib/rpc/typed.ts";
import { type Certificate, ownSpiffeId } from "../pki/certificate.ts";
import { validateX509Svid } from "../pki/validate.ts";
import type { AdminSource, AgentFacts } from "./ports.ts";
import { idMessage, seconds } from "./wire.ts";

/** Full name of the service. */
export const DEBUG_SERVICE = "spire.agent.debug.v1.Debug";

/** An answer serves this long: whoever polls costs nothing. */
const FRESH_MS = 5_000;

/** What the service is made of. */
export interface DebugDeps {
  readonly source: Pick<AdminSource, "facts">;
  readonly clock: Clock;
}

/** `GetInfo`. The time since this call is the uptime. */
export function debugMethods<P>(deps: DebugDeps, options: TypedOptions): [path: string, method: Method<P>][] {
  const { clock, source } = deps;
  const startedAt = clock.monotonic();
  const info = kept(clock, FRESH_MS, async () => {
    const uptime = Math.floor((clock.monotonic() - startedAt) / 1_000);
    return infoOf(source.facts(), clock.now(), uptime);
  });
  const getInfo = unary<P, GetInfoRequest, GetInfoResponse>(
    { request: GetInfoRequest, response: GetInfoResponse },
    info,
    options,
  );
  return [[`/${DEBUG_SERVICE}/GetInfo`, getInfo]];
}

/** Throws `UNAVAILABLE` without an SVID, `INTERNAL` for one that the agent's bundle does not verify. */
function infoOf(facts: AgentFacts, now: number, uptime: number): GetInfoResponse {
  return {
    svidChain: verifiedPath(facts, now).map(certMessage),
    uptime,
    svidsCount: facts.x509Svids,
    lastSyncSuccess: seconds(facts.lastSyncAt ?? 0),
    cachedX509SvidsCount: facts.x509Svids,
    cachedJwtSvidsCount: facts.jwtSvids,
    // SVIDs for secret stores are not kept in this version.
    cachedSvidstoreX509SvidsCount: 0,
  };
}

function verifiedPath({ svid, bundle, trustDomain }: AgentFacts, now: number): readonly Certificate[] {
  if (svid === undefined) throw publicError("UNAVAILABLE", "the agent has no SVID");
  const authorities = bundle.x509Authorities.map(({ certificate }) => certificate);
  try {
    return validateX509Svid(svid.chain, authorities, { now, trustDomain, expectedId: svid.spiffeId }).path;
  } catch (error) {
    throw new AgentError("INTERNAL", "failed to verify agent SVID", {
      cause: error,
      publicMessage: `failed to verify agent SVID: ${errorText(error)}`,
    });
  }
}

function certMessage(certificate: Certificate): GetInfoResponse_Cert {
  const id = ownSpiffeId(certificate);
  return {
    id: id && idMessage(id),
    expiresAt: seconds(certificate.notAfter),
    subject: certificate.subject.text,
  };
}
