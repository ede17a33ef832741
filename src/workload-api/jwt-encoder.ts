/** Encodes the answers of the JWT methods, once for all callers that may have the same. */
import {
  JWTBundlesResponse,
  type JWTSVID,
  JWTSVIDResponse,
  ValidateJWTSVIDResponse,
} from "../gen/workload/workload.ts";
import { Reply } from "../lib/rpc/transport.ts";
import { formatJwks } from "../pki/jwks.ts";
import type { ValidJwt } from "../pki/jwt-validate.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { type TrustDomain, trustDomainOf } from "../spiffe/id.ts";
import type { JwtSvid } from "../spiffe/svid.ts";
import type { WorkloadUpdate } from "./ports.ts";
import { remember } from "./remember.ts";
import { bundleMap } from "./served.ts";

/** A token for one of the caller's entries. */
export interface EntryToken {
  readonly entry: AuthorizedEntry;
  readonly svid: JwtSvid;
}

/** How claims are returned. */
export interface ClaimsOptions {
  readonly trustDomain: TrustDomain;
  /** Claims of other trust domains' tokens that are returned besides those of SPIFFE. */
  readonly allowedForeignClaims: ReadonlySet<string>;
}

/** Workload API 6.2.3: these are always returned. */
const SPIFFE_CLAIMS: ReadonlySet<string> = new Set(["sub", "aud", "exp"]);

/** Keeps what it encoded as long as the update, bundle or token that it came from lives. */
export class JwtEncoder {
  readonly #bundleReplies = new WeakMap<WorkloadUpdate, Reply>();
  readonly #jwks = new WeakMap<TrustBundle, Buffer>();
  /** Answers that hold one token only. */
  readonly #single = new WeakMap<JwtSvid, { readonly hint: string; readonly reply: Reply }>();

  /** The answer to `FetchJWTSVID`. */
  svids(tokens: readonly EntryToken[]): Reply {
    const [only, ...others] = tokens;
    if (only === undefined || others.length > 0) return encodeTokens(tokens);
    const { hint } = only.entry;
    const known = this.#single.get(only.svid);
    // Two entries may share an identity and differ in their hints.
    if (known?.hint === hint) return known.reply;
    const reply = encodeTokens(tokens);
    this.#single.set(only.svid, { hint, reply });
    return reply;
  }

  /** The answer to `FetchJWTBundles`: federated bundles only for callers with an identity. */
  bundles(update: WorkloadUpdate): Reply {
    return remember(this.#bundleReplies, update, () => {
      const bundles = bundleMap(update, (bundle) => this.#jwksOf(bundle));
      return new Reply(JWTBundlesResponse.encode({ bundles }).finish());
    });
  }

  #jwksOf(bundle: TrustBundle): Buffer {
    return remember(this.#jwks, bundle, () => Buffer.from(formatJwks(bundle.jwtAuthorities)));
  }
}

/** The answer to `ValidateJWTSVID`. The audience is a list, also where the token has a single text. */
export function encodeClaims({ spiffeId, claims }: ValidJwt, options: ClaimsOptions): Reply {
  const { aud } = claims;
  const all = { ...claims, aud: typeof aud === "string" ? [aud] : aud };
  const isOurs = trustDomainOf(spiffeId) === options.trustDomain;
  const isReturned = (name: string): boolean =>
    isOurs || SPIFFE_CLAIMS.has(name) || options.allowedForeignClaims.has(name);
  const returned = Object.fromEntries(Object.entries(all).filter(([name]) => isReturned(name)));
  return new Reply(ValidateJWTSVIDResponse.encode({ spiffeId, claims: returned }).finish());
}

function encodeTokens(tokens: readonly EntryToken[]): Reply {
  const svids = tokens.map(({ entry, svid }): JWTSVID => {
    return { spiffeId: svid.spiffeId, svid: svid.token, hint: entry.hint };
  });
  return new Reply(JWTSVIDResponse.encode({ svids }).finish());
}
