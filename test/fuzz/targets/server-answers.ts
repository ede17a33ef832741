/** What the agent is told by a server, which it trusts and which may still be wrong. */
import { Metadata } from "@grpc/grpc-js";
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { mutateProtobuf } from "../../../scripts/fuzz/tree-protobuf.ts";
import { acceptIssuedJwt } from "../../../src/agent/issued-jwt.ts";
import { fromServiceError } from "../../../src/agent/server-client-errors.ts";
import { syncEntries } from "../../../src/agent/server-client-sync.ts";
import { toAuthorizedEntry, toChain, toSignedToken, toTrustBundle } from "../../../src/agent/wire.ts";
import { RetryInfo } from "../../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../../src/gen/google/rpc/status.ts";
import { WatchAuthorizedResponse } from "../../../src/gen/holdfast/server/v1/watch.ts";
import { AttestAgentResponse, RenewAgentResponse } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import {
  GetAuthorizedEntriesResponse,
  SyncAuthorizedEntriesResponse,
} from "../../../src/gen/spire/api/server/entry/v1/entry.ts";
import {
  BatchNewWITSVIDResponse,
  BatchNewX509SVIDResponse,
  NewJWTSVIDResponse,
} from "../../../src/gen/spire/api/server/svid/v1/svid.ts";
import { Bundle } from "../../../src/gen/spire/api/types/bundle.ts";
import type { Entry } from "../../../src/gen/spire/api/types/entry.ts";
import { PermissionDeniedDetails } from "../../../src/gen/spire/api/types/status.ts";
import type { ErrorCode } from "../../../src/lib/errors.ts";
import type { LogFields, Logger } from "../../../src/lib/log.ts";
import { bundleToMessage } from "../../../src/server/api/wire-bundle.ts";
import { isSpiffeId } from "../seeds/second-jwt.ts";
import { AUDIENCE, compact, TOKEN_SEEDS } from "../seeds/tokens.ts";
import { entryOf, OWN, OWN_BUNDLE, WORKLOAD } from "../seeds/world.ts";
import { INTERMEDIATE, LEAF, NOW, TRUST_DOMAIN } from "../seeds/x509.ts";
import { isMessage } from "./calls.ts";
import { outcome, outcomeLater } from "./refusal.ts";

const EXPECTED: readonly ErrorCode[] = ["MALFORMED", "INVALID_ARGUMENT", "INTERNAL", "FAILED_PRECONDITION"];
const MAX_LINE = 4_000;
const KNOWN = entryOf("entry-1", WORKLOAD);
const EMPTY = new Uint8Array();

/** A log that nobody can fill with a line. */
const LOG: Logger = {
  error: check,
  warn: check,
  info: check,
  debug: check,
  trace: check,
  named: () => LOG,
};

interface Message<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
  fromPartial(message: never): T;
}

interface Kind {
  readonly codec: Message<never>;
  readonly seeds: readonly object[];
  /** What the agent makes of it. Resolves to whether there is something that it uses. */
  readonly read: (message: never, next: () => unknown) => boolean | Promise<boolean>;
}

const id = { trustDomain: TRUST_DOMAIN, path: "/workload" };
const entry = {
  id: "entry-1",
  spiffeId: id,
  selectors: [{ type: "unix", value: "uid:0" }],
  federatesWith: ["other.test"],
  createdAt: 1n,
  revisionNumber: 3n,
  hint: "h",
};
const svid = { id, certChain: [LEAF, INTERMEDIATE].map((one) => Buffer.from(one)), expiresAt: BigInt(NOW / 1_000) };
const [token] = TOKEN_SEEDS.map((one) => compact(one.header, one.claims, one.signature));
const any = (typeUrl: string, bytes: Uint8Array): object => ({ typeUrl, value: Buffer.from(bytes) });

/** By the flags of an input. */
const KINDS: readonly Kind[] = [
  kind(
    SyncAuthorizedEntriesResponse,
    [
      { entries: [entry], more: true },
      { entries: [{ ...entry, id: "entry-2", spiffeId: { ...id, path: "/second" } }] },
    ],
    synced,
  ),
  kind(
    SyncAuthorizedEntriesResponse,
    [
      {
        entryRevisions: [
          { id: "entry-2", revisionNumber: 4n, createdAt: 1n },
          { id: "entry-1", revisionNumber: 3n },
        ],
      },
      { entries: [{ ...entry, id: "entry-2" }] },
    ],
    synced,
  ),
  kind(GetAuthorizedEntriesResponse, [{ entries: [entry, entry] }], ({ entries }) =>
    entries.map(checkEntry).includes(true),
  ),
  kind(Bundle, [bundleToMessage(OWN_BUNDLE)], (message) => {
    const bundle = toTrustBundle(message, OWN, LOG);
    holds(bundle.trustDomain === OWN, "a bundle is the one that was asked for");
    holds(bundle.refreshHint >= 0, "a hint is no time in the past");
    const sent = message.x509Authorities.map(({ asn1 }) => Buffer.from(asn1).toString("hex"));
    const read = bundle.x509Authorities.map(({ certificate }) => Buffer.from(certificate).toString("hex"));
    holds(
      read.every((one) => sent.includes(one)),
      "authorities are those that were sent",
    );
    return read.length + bundle.jwtAuthorities.length + bundle.witAuthorities.length > 0;
  }),
  kind(BatchNewX509SVIDResponse, [{ results: [{ svid }] }], ({ results }) =>
    results.some(({ svid: one }) => toChain(one).length > 0),
  ),
  kind(
    NewJWTSVIDResponse,
    [{ svid: { token, id, issuedAt: BigInt(NOW / 1_000), expiresAt: BigInt(NOW / 1_000 + 60) } }],
    ({ svid: one }) => {
      const accepted = acceptIssuedJwt(toSignedToken(one), { entry: KNOWN, audience: [AUDIENCE], now: NOW });
      holds(accepted.spiffeId === WORKLOAD && accepted.notAfter > NOW, "a token is ours, and has not expired");
      return true;
    },
  ),
  kind(
    AttestAgentResponse,
    [
      { step: { $case: "result", value: { svid, reattestable: true } } },
      { step: { $case: "challenge", value: Buffer.of(1) } },
    ],
    ({ step }) => step?.$case === "challenge" || toChain(step?.value.svid).length > 0,
  ),
  kind(RenewAgentResponse, [{ svid }], ({ svid: one }) => toChain(one).length > 0),
  kind(WatchAuthorizedResponse, [{ entriesRevision: 1n, spreadMs: 5 }], () => true),
  kind(BatchNewWITSVIDResponse, [{ results: [{ svid: { token, id } }] }], ({ results }) =>
    results.some(({ svid: one }) => toSignedToken(one).token !== ""),
  ),
  kind(
    Status,
    [
      {
        code: 7,
        message: "no",
        details: [
          any(
            "type.googleapis.com/spire.api.types.PermissionDeniedDetails",
            PermissionDeniedDetails.encode({ reason: 2 }).finish(),
          ),
          any(
            "type.googleapis.com/google.rpc.RetryInfo",
            RetryInfo.encode({ retryDelay: { seconds: 3n, nanos: 5 } }).finish(),
          ),
        ],
      },
    ],
    () => true,
  ),
];
const STATUS = KINDS.length - 1;

/** Every message. */
export const serverAnswers: FuzzTarget = {
  name: "server-answers",
  about: "what the agent is told by a server: entries, bundles, SVIDs, tokens, errors",
  covers: ["/src/agent/", "/src/spiffe/", "/src/pki/"],
  maxBytes: 60_000,
  seeds: () =>
    KINDS.map(({ codec, seeds }, flags) =>
      packFields({ flags, parts: seeds.map((one) => codec.encode(codec.fromPartial(one as never)).finish()) }),
    ),
  mutate: mutateParts(mutateProtobuf, mutateProtobuf),
  run: async (input): Promise<Verdict> => {
    const { flags, parts } = unpackFields(input, 2);
    const [first = EMPTY, second = EMPTY] = parts;
    const { codec, read } = KINDS[flags % KINDS.length] as Kind;
    if (flags % KINDS.length === STATUS) checkFailure(first);
    if (!isMessage({ decode: (bytes) => codec.decode(bytes), encode: (one) => codec.encode(one).finish() }, first))
      return "refused";
    const next = (): unknown => {
      try {
        return second.length === 0 ? undefined : codec.decode(second);
      } catch {
        return undefined;
      }
    };
    const result = await outcomeLater(async () => await read(codec.decode(first), next), ...EXPECTED);
    return result.verdict === "accepted" && result.value ? "accepted" : "refused";
  },
};

function kind<T>(
  codec: Message<T>,
  seeds: readonly object[],
  read: (message: T, next: () => unknown) => boolean | Promise<boolean>,
): Kind {
  return { codec: codec as unknown as Message<never>, seeds, read };
}

/** Holds the agent's side of a sync, with one entry known. */
async function synced(first: SyncAuthorizedEntriesResponse, next: () => unknown): Promise<boolean> {
  const second = next() as SyncAuthorizedEntriesResponse | undefined;
  const messages = second === undefined ? [first] : [first, second];
  const talk = { send: () => {}, next: async () => messages.shift() };
  const { entries, unchanged } = await syncEntries(talk, new Map([[KNOWN.entryId, KNOWN]]));
  holds(
    unchanged.every((one) => one === KNOWN.entryId),
    "what is unchanged is known",
  );
  return entries.map(checkEntry).includes(true) || unchanged.length > 0;
}

/** Whether the agent uses an entry; one that it uses has an identity of its own trust domain. */
function checkEntry(message: Entry): boolean {
  const read = toAuthorizedEntry(message, OWN, LOG);
  if (read === undefined) return false;
  const { spiffeId, selectors, federatesWith } = read;
  holds(isSpiffeId(spiffeId) && spiffeId.startsWith(`spiffe://${TRUST_DOMAIN}/`), "an entry is of our trust domain");
  holds(!/^spiffe:\/\/[^/]*\/spire(?:\/|$)/.test(spiffeId), "and not reserved");
  holds(selectors.length > 0 && selectors.every(({ type, value }) => type !== "" && value !== ""), "it has selectors");
  holds(
    federatesWith.every((one) => isSpiffeId(`spiffe://${one}`)),
    "it federates with trust domains",
  );
  holds(Number.isFinite(read.createdAt), "it has a time");
  return true;
}

/** Details of an error are read or left out, and the wait that they ask for has an end. */
function checkFailure(details: Uint8Array): void {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(details));
  const error = Object.assign(new Error("x"), { code: 7, details: Buffer.from(details).toString("latin1"), metadata });
  const failed = outcome(() => fromServiceError(error, "Call", undefined));
  holds(failed.verdict === "accepted", "an error is understood");
  const { retryAfterMs, message } = failed.value;
  holds(retryAfterMs >= 0 && retryAfterMs <= 60_000, "nobody waits for more than a minute");
  holds(message.length <= 700 && !/[^\x20-\x7e]/.test(message), "what the server says is short and printable");
}

function check(_message: string, fields: LogFields = {}): void {
  for (const value of Object.values(fields))
    holds(typeof value !== "string" || value.length <= MAX_LINE, "a line of the log is short");
}
