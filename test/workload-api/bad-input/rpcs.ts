/** Every RPC of the agent's two sockets: a good request, what it gets, and which of its fields are texts. */
import { SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { field } from "./raw-client.ts";

/** One method. */
export interface Rpc {
  readonly socket: "workload" | "admin";
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly kind: "single" | "bidi";
  /** Whether it asks for the Workload API's security header. */
  readonly header: boolean;
  readonly good: Buffer;
  /** What the good request gets. */
  readonly answer: string;
  /** What any request gets of a method that is registered but not built; whatever its bytes. */
  readonly notBuilt?: string;
  /** Requests, each with another text made of these bytes. */
  readonly texts: readonly ((text: Buffer) => Buffer)[];
  /** Bytes of the largest request. */
  readonly maxRequest: number;
}

const NOTHING = Buffer.alloc(0);
/** The server of the fakes has no WIT profile. */
const NO_WIT = "12 the server issues no WIT-SVIDs";
const USUAL = 64 * 1024;

/** Field numbers, from the outermost message inwards. */
type Texts = readonly (number | readonly number[])[];

/** `before` goes in front of each text that is tried. */
function rpc(path: string, texts: Texts, more: Partial<Rpc> = {}, before: Buffer = NOTHING): Rpc {
  return {
    socket: "workload",
    path,
    kind: "single",
    header: path.startsWith("/SpiffeWorkloadAPI/"),
    good: NOTHING,
    answer: "a message",
    texts: texts.map((path) => (text) => {
      return Buffer.concat([before, [path].flat().reduceRight((inner, number) => field(number, inner), text)]);
    }),
    maxRequest: USUAL,
    ...more,
  };
}

/** A method of a service's description that is not registered. */
function missing(path: string): Rpc {
  const answer = `12 The server does not implement the method ${path}`;
  return rpc(path, [], { answer, notBuilt: answer });
}

const SDS = "/envoy.service.secret.v3.SecretDiscoveryService";
/** Names, type, nonce, version, a name in the node's metadata, a complaint. */
const DISCOVERY: Texts = [3, 4, 5, 1, [2, 3, 1, 1], [6, 2]];
const DELTA: Texts = [3, 4, 2, 6, [1, 3, 1, 1], [5, 1], [5, 2], [7, 2]];
const DELEGATED = "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity";
const LOGGER = "/spire.api.agent.logger.v1.Logger";
const HEALTH = "/grpc.health.v1.Health";
const selector = field(2, Buffer.concat([field(1, "unix"), field(2, "uid:7")]));
/** Selectors of another workload are the first field of one request, the second of the other. */
const subject = field(1, Buffer.concat([field(1, "unix"), field(2, "uid:7")]));

const reflection = (socket: Rpc["socket"], version: string): Rpc =>
  rpc(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, [1, 3, 4, 6, 7, [5, 1]], {
    socket,
    kind: "bidi",
    good: field(7, "*"),
  });

/** All of them; `bad-input.test.ts` compares them with what reflection tells. */
export const RPCS: readonly Rpc[] = [
  rpc("/SpiffeWorkloadAPI/FetchX509SVID", []),
  rpc("/SpiffeWorkloadAPI/FetchX509Bundles", []),
  rpc("/SpiffeWorkloadAPI/FetchJWTSVID", [1, 2], { good: field(1, "db") }, field(1, "db")),
  rpc("/SpiffeWorkloadAPI/FetchJWTBundles", []),
  rpc("/SpiffeWorkloadAPI/ValidateJWTSVID", [1, 2], {
    good: Buffer.concat([field(1, "db"), field(2, "x")]),
    answer: "3 unable to parse JWT token: compact JWS format must have three parts",
  }),
  rpc("/SpiffeWorkloadAPI/FetchWITSVID", [1], { answer: NO_WIT }),
  rpc("/SpiffeWorkloadAPI/FetchWITBundles", [], { answer: NO_WIT }),

  rpc(`${SDS}/StreamSecrets`, DISCOVERY, { kind: "bidi", good: field(4, SECRET_TYPE), maxRequest: 4 * USUAL }),
  rpc(`${SDS}/DeltaSecrets`, DELTA, { kind: "bidi", good: field(2, SECRET_TYPE), maxRequest: 4 * USUAL }),
  rpc(`${SDS}/FetchSecrets`, DISCOVERY, { good: field(4, SECRET_TYPE), maxRequest: 4 * USUAL }),

  rpc(`${HEALTH}/Check`, [1]),
  missing(`${HEALTH}/List`),
  missing(`${HEALTH}/Watch`),
  reflection("workload", "v1"),
  reflection("workload", "v1alpha"),

  rpc("/spire.agent.debug.v1.Debug/GetInfo", [], { socket: "admin", answer: "14 the agent has no SVID" }),
  rpc(`${LOGGER}/GetLogger`, [], { socket: "admin" }),
  rpc(`${LOGGER}/SetLogLevel`, [], {
    socket: "admin",
    answer: "3 newLevel value cannot be LogLevel_UNSPECIFIED",
  }),
  rpc(`${LOGGER}/ResetLogLevel`, [], { socket: "admin" }),
  rpc(
    `${DELEGATED}/SubscribeToX509SVIDs`,
    [
      [1, 1],
      [1, 2],
    ],
    { socket: "admin", good: subject },
  ),
  rpc(`${DELEGATED}/SubscribeToX509Bundles`, [], { socket: "admin" }),
  rpc(
    `${DELEGATED}/FetchJWTSVIDs`,
    [1, [2, 1], [2, 2]],
    { socket: "admin", good: Buffer.concat([field(1, "db"), selector]), answer: "7 no identity issued" },
    field(1, "db"),
  ),
  rpc(`${DELEGATED}/SubscribeToJWTBundles`, [], { socket: "admin" }),
  rpc("/holdfast.agent.v1.Status/GetStatus", [], { socket: "admin" }),
  reflection("admin", "v1"),
  reflection("admin", "v1alpha"),
];
