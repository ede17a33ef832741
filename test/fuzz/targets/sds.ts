/** Envoy's secret discovery: whole conversations, whose answers may hold what was asked for and nothing else. */
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { mutateProtobuf, stringsOf } from "../../../scripts/fuzz/tree-protobuf.ts";
import { Secret } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import type { Conversation, ConversationDeps } from "../../../src/workload-api/sds/conversation.ts";
import { Delta } from "../../../src/workload-api/sds/delta.ts";
import { decodeDiscovery, SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { SecretEncoder } from "../../../src/workload-api/sds/secret-encoder.ts";
import { answerOnce, StateOfTheWorld } from "../../../src/workload-api/sds/state-of-the-world.ts";
import { LATER, PENDING, UPDATE } from "../seeds/world.ts";
import { isMessage } from "./calls.ts";
import { chosen, type Outcome, outcome } from "./refusal.ts";

/** A stream of changes; the configuration, what is there at first and after, in the other flags. */
const DELTA = 1;
const NO_VALIDATOR = 2;
const BEGINS_PENDING = 4;
const CHANGES = 8;
/** Messages of one stream. */
const MESSAGES = 3;
/** Field of the names in both requests: `resource_names`, `resource_names_subscribe`. */
const NAMES_FIELD = 3;
const nonceOf = (count: number): string => String(count).padStart(8, "0");
const OPTIONS = { defaultSvidName: "default", defaultBundleName: "ROOTCA", defaultAllBundlesName: "ALL" };
const encoders = new SecretEncoder(OPTIONS);

const node = {
  id: "envoy",
  metadata: { disable_spiffe_cert_validation: "true", other: { a: [1, null, "x"] } },
  userAgentVersionType: {
    $case: "userAgentBuildVersion",
    value: { version: { majorNumber: 1, minorNumber: 17, patch: 0 } },
  },
} as const;
const request = (message: object): Uint8Array =>
  DiscoveryRequest.encode(DiscoveryRequest.fromPartial(message)).finish();
const delta = (message: object): Uint8Array =>
  DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial(message)).finish();
const typeUrl = SECRET_TYPE;
const all = ["default", "ROOTCA"];

const SEEDS: readonly { readonly flags: number; readonly parts: readonly Uint8Array[] }[] = [
  {
    flags: 0,
    parts: [
      request({ typeUrl, resourceNames: all }),
      request({ typeUrl, resourceNames: all, versionInfo: "1", responseNonce: nonceOf(1) }),
      request({ resourceNames: [], versionInfo: "1", responseNonce: nonceOf(1) }),
    ],
  },
  {
    flags: CHANGES,
    parts: [
      request({ node, resourceNames: ["spiffe://example.org/workload", "spiffe://other.test"] }),
      request({ versionInfo: "0", responseNonce: nonceOf(1), errorDetail: { code: 3, message: "no" } }),
    ],
  },
  { flags: BEGINS_PENDING, parts: [request({ resourceNames: ["ALL"] })] },
  {
    flags: DELTA,
    parts: [
      delta({ typeUrl, resourceNamesSubscribe: all }),
      delta({ responseNonce: nonceOf(1), resourceNamesUnsubscribe: ["default"] }),
      delta({ resourceNamesSubscribe: ["*"] }),
    ],
  },
  {
    flags: DELTA | CHANGES,
    parts: [
      delta({ node, initialResourceVersions: { default: "absent", ROOTCA: "0123456789abcdef" } }),
      delta({ errorDetail: { code: 3, message: "no" } }),
    ],
  },
  { flags: DELTA | NO_VALIDATOR, parts: [delta({ resourceNamesSubscribe: ["spiffe://example.org", "nobody"] })] },
];

/** `StreamSecrets`, `DeltaSecrets`, `FetchSecrets`. */
export const sds: FuzzTarget = {
  name: "sds",
  about: "Envoy's secret discovery: decodeDiscovery, StateOfTheWorld, Delta, answerOnce, validatorFor",
  covers: ["/src/workload-api/sds/", "/src/gen/envoy/service/discovery/", "/src/gen/google/protobuf/struct"],
  maxBytes: 100_000,
  seeds: () => SEEDS.map(packFields),
  mutate: mutateParts(...Array.from({ length: MESSAGES }, () => mutateProtobuf)),
  run: (input) => {
    const { flags, parts } = unpackFields(input, MESSAGES);
    const isDelta = (flags & DELTA) !== 0;
    let nonces = 0;
    const deps: ConversationDeps = {
      options: { ...OPTIONS, disableSpiffeCertValidation: (flags & NO_VALIDATOR) !== 0 },
      encoder: encoders,
      nonce: () => nonceOf(++nonces),
    };
    const updates = [
      (flags & BEGINS_PENDING) === 0 ? UPDATE : PENDING,
      ...((flags & CHANGES) === 0 ? [UPDATE] : [LATER]),
    ];
    const conversation = isDelta ? new Delta(deps) : new StateOfTheWorld(deps);
    const asked = new Set<string>();
    let verdict: Verdict = "refused";
    for (const [at, message] of parts.entries()) {
      const codec = isDelta ? DeltaDiscoveryRequest : DiscoveryRequest;
      const isGood = isMessage({ ...codec, encode: (one) => codec.encode(one).finish() }, message);
      if (!isDelta && at === 0 && chosen(input, 4)) fetchOnce(message, deps);
      const taken = refusable(() => conversation.take(message));
      if (taken.verdict === "refused") return verdict;
      holds(isGood, "what is no message is refused");
      for (const name of namesOf(message, isDelta)) asked.add(name);
      for (const update of updates) {
        const answered = refusable(() => conversation.answer(update));
        if (answered.verdict === "refused") return verdict;
        if (answered.value !== undefined && chosen(input, 2)) checkAnswer(answered.value, asked, conversation);
        verdict = "accepted";
      }
    }
    return verdict;
  },
};

/**
 * What a request asks for; `*` for everything. The generated decoder takes a field that ends a group for the end of the
 * message, and goes on from there in the one around it: what it finds then, no other reader does.
 */
function namesOf(message: Uint8Array, isDelta: boolean): readonly string[] {
  const decoded = isDelta
    ? DeltaDiscoveryRequest.decode(message).resourceNamesSubscribe
    : DiscoveryRequest.decode(message).resourceNames;
  const readings = [decoded, stringsOf(message, NAMES_FIELD)];
  return readings.flatMap((names) => (names.every((one) => one === "") ? ["*"] : names));
}

/** All bundles in one, without the validator that knows them, are the configuration's fault. */
function refusable<T>(work: () => T): Outcome<T> {
  return outcome(work, "INVALID_ARGUMENT", "INTERNAL");
}

function fetchOnce(message: Uint8Array, deps: ConversationDeps): void {
  const fetched = refusable(() => answerOnce(decodeDiscovery(message), UPDATE, deps));
  if (fetched.verdict === "refused" || fetched.value === undefined) return;
  checkResources(DiscoveryResponse.decode(fetched.value).resources, new Set(namesOf(message, false)));
}

function checkAnswer(answer: Uint8Array, asked: ReadonlySet<string>, conversation: Conversation): void {
  if (conversation instanceof Delta) {
    const { resources, removedResources, nonce } = DeltaDiscoveryResponse.decode(answer);
    holds(nonce !== "", "each answer has a nonce");
    const names = resources.map(({ name }) => name);
    holds(!removedResources.some((name) => names.includes(name)), "nothing is sent and removed at once");
    checkResources(
      resources.flatMap(({ resource }) => resource ?? []),
      asked,
    );
    return;
  }
  const { resources, nonce, versionInfo } = DiscoveryResponse.decode(answer);
  holds(nonce !== "" && /^\d+$/.test(versionInfo), "each answer has a nonce and a version");
  checkResources(resources, asked);
}

/** Each secret was asked for by its name, or everything was; only an SVID's has a key. */
function checkResources(
  resources: readonly { readonly typeUrl: string; readonly value: Uint8Array }[],
  asked: ReadonlySet<string>,
): void {
  const isEverything = asked.has("*") || [...asked].every((name) => name === "");
  for (const { typeUrl: type, value } of resources) {
    holds(type === SECRET_TYPE, "resources are secrets");
    const { name, type: content } = Secret.decode(value);
    holds(asked.has(name) || isEverything, "a secret was asked for");
    const isSvid = name === "default" || /^spiffe:\/\/[^/]+\//.test(name);
    holds((content?.$case === "tlsCertificate") === isSvid, "an SVID comes with its key, a bundle without");
  }
}
