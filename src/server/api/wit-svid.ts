/** `svid.v1.SVID` for WIT-SVIDs: for agents by entry, for administrators by request. */
import {
  type BatchNewWITSVIDResponse_Result,
  type NewWITSVIDParams,
  SVIDService,
} from "../../gen/spire/api/server/svid/v1/svid.ts";
import type { WITSVID } from "../../gen/spire/api/types/witsvid.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { checkJwsAlgorithm } from "../../pki/jws-algorithm.ts";
import { publicKeyFromSpki } from "../../pki/keys.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { AuthorizedEntries, IssuedToken, WitIssuer } from "../ports.ts";
import { callingAgent, type RpcContext } from "../rpc-context.ts";
import { batchItem, done, mapItems } from "./batch.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { idToMessage, workloadIdFromMessage } from "./wire.ts";

/** What the methods need. */
export interface WitSvidServiceDeps {
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly entries: AuthorizedEntries;
  /** Absent where WIT-SVIDs are disabled. */
  readonly witIssuer?: WitIssuer;
}

/** Signed at a time, as for X.509. */
const SIGNED_ABREAST = 8;

/** The methods. */
export function witSvidMethods(deps: WitSvidServiceDeps): readonly NamedMethod[] {
  return [
    unaryMethod(SVIDService.batchNewWitsvid, async ({ params }, context, signal) => {
      const issuer = enabled(deps);
      if (params.length === 0) throw publicError("INVALID_ARGUMENT", "missing parameters");
      await context.rateLimit(params.length, signal);
      const wanted = new Set(params.map(({ entryId }) => entryId));
      const entries = await attempt("failed to fetch registration entries", () =>
        deps.entries.lookup(callingAgent(context).agentId, wanted),
      );
      const sign = (param: NewWITSVIDParams) => newSvid(deps, issuer, context, param, entries);
      return { results: await mapItems(params, sign, SIGNED_ABREAST) };
    }),

    unaryMethod(SVIDService.mintWitsvid, async (request, context) => {
      const issuer = enabled(deps);
      const { id, publicKey, signingAlgorithm: algorithm, ttl } = request;
      const spiffeId = parseInput("invalid SPIFFE ID", () => workloadIdFromMessage(deps.trustDomain, id));
      context.audit({ spiffe_id: spiffeId, ttl });
      if (ttl < 0) throw publicError("INVALID_ARGUMENT", "ttl cannot be negative");
      checkKey("invalid public key", publicKey, algorithm);
      const issued = await attempt("failed to sign WIT-SVID", () =>
        issuer.issueWitSvid({ spiffeId, publicKey, algorithm, ttl }),
      );
      return { svid: toMessage(spiffeId, issued) };
    }),
  ];
}

async function newSvid(
  deps: WitSvidServiceDeps,
  issuer: WitIssuer,
  context: RpcContext,
  { entryId, publicKey, signingAlgorithm: algorithm }: NewWITSVIDParams,
  entries: ReadonlyMap<string, RegistrationEntry>,
): Promise<BatchNewWITSVIDResponse_Result> {
  const entry = entries.get(entryId);
  const fields = { entry_id: entryId, ...(entry !== undefined && { spiffe_id: entry.spiffeId }) };
  const { status, value } = await batchItem<WITSVID>(context, deps.log, fields, async () => {
    if (entryId === "") throw publicError("INVALID_ARGUMENT", "missing entry ID");
    if (publicKey.length === 0) throw publicError("INVALID_ARGUMENT", "missing public key");
    if (entry === undefined) throw publicError("NOT_FOUND", "entry not found or not authorized");
    checkKey("malformed public key", publicKey, algorithm);
    const { spiffeId, x509SvidTtl: ttl } = entry;
    const issued = await attempt("failed to sign WIT-SVID", () =>
      issuer.issueWitSvid({ spiffeId, publicKey, algorithm, ttl }),
    );
    return done(toMessage(spiffeId, issued), { expires_at: issued.expiresAt });
  });
  return { status, svid: value };
}

function checkKey(refusal: string, publicKey: Uint8Array, algorithm: string): void {
  parseInput(refusal, () => publicKeyFromSpki(publicKey));
  parseInput("invalid signing algorithm or key type", () => checkJwsAlgorithm(algorithm, publicKey));
}

/** The hint stays empty: agents take it from the entry. */
function toMessage(spiffeId: SpiffeId, { token, issuedAt, expiresAt }: IssuedToken): WITSVID {
  return { token, id: idToMessage(spiffeId), expiresAt: BigInt(expiresAt), issuedAt: BigInt(issuedAt), hint: "" };
}

function enabled(deps: WitSvidServiceDeps): WitIssuer {
  if (deps.witIssuer === undefined) throw publicError("UNIMPLEMENTED", "WIT functionality is disabled");
  return deps.witIssuer;
}
