/** The JWT methods of the Workload API. */
import { JWTBundlesRequest, JWTSVIDRequest, ValidateJWTSVIDRequest } from "../gen/workload/workload.ts";
import type { Clock } from "../lib/clock.ts";
import { publicError } from "../lib/errors.ts";
import type { Method, Reply } from "../lib/rpc/transport.ts";
import { decodeRequest, type RequestCodec } from "../lib/rpc/typed.ts";
import { JwtValidator } from "../pki/jwt-validate.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import { AnswerCall, type Question } from "./answer-call.ts";
import type { FairTurns } from "./fair-turns.ts";
import { endIfRefused, guarded, type WorkloadCall } from "./guard.ts";
import { type EntryToken, encodeClaims, JwtEncoder } from "./jwt-encoder.ts";
import type { ConnectedPeer } from "./peer.ts";
import type { IdentitySource, WorkloadUpdate } from "./ports.ts";
import { checkRequestedId, hasIdentity, isSynced, requestedEntries } from "./served.ts";
import { type Encoder, type StreamHost, streaming } from "./update-stream.ts";

/** What the JWT methods are made of. */
export interface JwtDeps {
  readonly host: StreamHost;
  readonly source: IdentitySource<ConnectedPeer>;
  readonly clock: Clock;
  readonly turns: Pick<FairTurns, "run">;
}

/** How the JWT methods behave. */
export interface JwtOptions {
  /** Whether callers without an identity get the bundle of our own trust domain. */
  readonly allowUnauthenticatedVerifiers: boolean;
  /** Claims of other trust domains' tokens that are returned besides `sub`, `aud` and `exp`. */
  readonly allowedForeignClaims: ReadonlySet<string>;
}

/** All audiences of a token together, with a byte more for each; no verifier takes tokens of twice the length. */
const MAX_AUDIENCE_BYTES = 16 * 1024;
/** Tokens are shorter than this, nearly all. */
const LONG_REQUEST = 4 * 1024;
/** Their number: they are sorted and compared, and servers take far fewer. */
const MAX_AUDIENCES = 256;

/** `FetchJWTSVID`, `FetchJWTBundles` and `ValidateJWTSVID`. */
export function jwtMethods(deps: JwtDeps, options: JwtOptions): [name: string, method: Method<ConnectedPeer>][] {
  const encoder = new JwtEncoder();
  const judging = { ...deps, validator: new JwtValidator() };
  const bundles: Encoder = (update) =>
    options.allowUnauthenticatedVerifiers || hasIdentity(update) ? encoder.bundles(update) : null;
  return [
    [
      "FetchJWTSVID",
      guarded(answering(deps.host, JWTSVIDRequest, (request) => fetchQuestion(request, deps.source, encoder))),
    ],
    ["FetchJWTBundles", streaming(deps.host, JWTBundlesRequest, bundles, isSynced)],
    [
      "ValidateJWTSVID",
      inTurn(
        deps.turns,
        answering(deps.host, ValidateJWTSVIDRequest, (request) => validation(request, judging, options)),
      ),
    ],
  ];
}

type Run = (call: WorkloadCall, request: Uint8Array) => void;

/** What `ask` throws ends the call before its caller is attested. */
function answering<T>(host: StreamHost, codec: RequestCodec<T>, ask: (request: T) => Question): Run {
  return (call, request) => new AnswerCall(host, call, ask(decodeRequest(codec, request))).start();
}

/** Reading a long request takes much longer than a call does else, and comes before the caller is attested. */
function inTurn(turns: JwtDeps["turns"], run: Run): Method<ConnectedPeer> {
  return guarded((call, request) => {
    if (request.length <= LONG_REQUEST) {
      run(call, request);
      return;
    }
    let waiting: Uint8Array | undefined = request;
    call.onCancel = () => {
      waiting = undefined;
    };
    turns.run(call.peer.uid, () => {
      const taken = waiting;
      if (taken !== undefined) endIfRefused(call, () => run(call, taken));
    });
  });
}

function fetchQuestion(request: JWTSVIDRequest, source: IdentitySource<ConnectedPeer>, encoder: JwtEncoder): Question {
  const audience = readAudience(request.audience);
  const { spiffeId } = request;
  checkRequestedId(spiffeId);
  return {
    // Entries say what a caller may have; their X509-SVIDs, which may still be on their way, say nothing of tokens.
    isAnswerable: isSynced,
    answer(update, signal, latest) {
      const entries = requestedEntries(update, spiffeId);
      if (entries.length === 0) return null;
      const tokens = entries.map((entry) => ({ entry, svid: source.fetchJwtSvid(entry, audience, signal) }));
      const ready = tokens.filter((token): token is EntryToken => !(token.svid instanceof Promise));
      if (ready.length === tokens.length) return encoder.svids(ready);
      return encodeLater(tokens, encoder, () => requestedEntries(latest(), spiffeId));
    },
  };
}

/** Signing takes its time: what the caller may no longer have when the last token comes is left out. */
async function encodeLater(
  tokens: readonly {
    readonly entry: AuthorizedEntry;
    readonly svid: EntryToken["svid"] | Promise<EntryToken["svid"]>;
  }[],
  encoder: JwtEncoder,
  latest: () => readonly AuthorizedEntry[],
): Promise<Reply | null> {
  const all = await Promise.all(tokens.map(async ({ entry, svid }) => ({ entry, svid: await svid })));
  const served = new Map(latest().map(({ entryId, spiffeId }) => [entryId, spiffeId]));
  const left = all.filter(({ entry, svid }) => served.get(entry.entryId) === svid.spiffeId);
  return left.length === 0 ? null : encoder.svids(left);
}

/** A request's audience. Texts that are empty name nobody; servers leave them out as well. Throws `INVALID_ARGUMENT`. */
export function readAudience(given: readonly string[]): readonly string[] {
  const audience = given.filter((one) => one !== "");
  if (audience.length === 0) throw publicError("INVALID_ARGUMENT", "audience must be specified");
  if (audience.length > MAX_AUDIENCES) {
    throw publicError("INVALID_ARGUMENT", `too many audiences: ${MAX_AUDIENCES} at most`);
  }
  const bytes = audience.reduce((sum, one) => sum + Buffer.byteLength(one) + 1, 0);
  if (bytes > MAX_AUDIENCE_BYTES) throw publicError("INVALID_ARGUMENT", "audience is too long");
  return audience;
}

/** Also callers without an identity may have tokens of our own trust domain validated. */
function validation(
  request: ValidateJWTSVIDRequest,
  { clock, validator }: JwtDeps & { readonly validator: JwtValidator },
  options: JwtOptions,
): Question {
  const { audience, svid } = request;
  if (audience === "") throw publicError("INVALID_ARGUMENT", "audience must be specified");
  if (svid === "") throw publicError("INVALID_ARGUMENT", "svid must be specified");
  const parsed = validator.parse(svid);
  return {
    isAnswerable: isSynced,
    answer(update) {
      const bundleOf = (trustDomain: TrustDomain): TrustBundle | undefined => bundleFor(update, trustDomain);
      const returned = {
        trustDomain: update.bundle.trustDomain,
        allowedForeignClaims: options.allowedForeignClaims,
      };
      const valid = validator.validate(svid, parsed, { audience, now: clock.now(), bundleOf });
      return valid instanceof Promise
        ? valid.then((checked) => encodeClaims(checked, returned))
        : encodeClaims(valid, returned);
    },
  };
}

function bundleFor({ bundle, federatedBundles }: WorkloadUpdate, trustDomain: TrustDomain): TrustBundle | undefined {
  return trustDomain === bundle.trustDomain ? bundle : federatedBundles.get(trustDomain);
}
