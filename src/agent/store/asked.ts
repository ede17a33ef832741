/** For which JWT-SVIDs workloads asked, and those that are held in reserve, as they are stored. */
import type { StoredAudience, StoredReserve } from "../../gen/holdfast/agent/v1/store.ts";
import { parseSpiffeId, type SpiffeId } from "../../spiffe/id.ts";
import type { AskedFor, ReserveToken } from "../jwt-reserve-plan.ts";

/** One that was asked for; what the server refused is asked of it again. */
export function askedMessage({ entryId, spiffeId, audience, askedAt, reserve }: AskedFor): StoredAudience {
  return {
    entryId,
    spiffeId,
    audience: [...audience],
    askedAt: BigInt(Math.floor(askedAt)),
    reserve: reserve && reserveMessage(reserve),
  };
}

/** Throws `INVALID_ARGUMENT` for a SPIFFE ID that is none. */
export function askedFor({ entryId, spiffeId, audience, askedAt, reserve }: StoredAudience): AskedFor {
  const id = parseSpiffeId(spiffeId);
  return {
    entryId,
    spiffeId: id,
    audience,
    askedAt: Number(askedAt),
    ...(reserve === undefined ? {} : { reserve: reserveToken(id, reserve) }),
  };
}

function reserveMessage({ svid, refreshAt, version }: ReserveToken): StoredReserve {
  return {
    token: svid.token,
    keyId: svid.keyId,
    notBefore: BigInt(svid.notBefore),
    notAfter: BigInt(svid.notAfter),
    refreshAt: BigInt(Math.floor(refreshAt)),
    revision: version.revision,
    createdAt: BigInt(version.createdAt),
  };
}

function reserveToken(spiffeId: SpiffeId, stored: StoredReserve): ReserveToken {
  const { token, keyId, notBefore, notAfter, refreshAt, revision, createdAt } = stored;
  return {
    svid: { spiffeId, token, keyId, notBefore: Number(notBefore), notAfter: Number(notAfter) },
    refreshAt: Number(refreshAt),
    version: { revision, createdAt: Number(createdAt) },
  };
}
