/** The methods of both listeners: every one that has a row in the authorization table, built or not. */
import { GrpcCode } from "../../lib/grpc-status.ts";
import type { Method, MethodTable } from "../../lib/rpc/transport.ts";
import { AUTHORIZED_METHODS, LOCAL_ONLY_SERVICES } from "../authz-table.ts";
import type { RpcContext } from "../rpc-context.ts";
import { type AgentAdminDeps, agentAdminMethods } from "./agent.ts";
import { type AttestDeps, attestMethods } from "./attest.ts";
import { type BundleServiceDeps, bundleMethods } from "./bundle.ts";
import { type DebugServiceDeps, debugMethods } from "./debug.ts";
import { type EntryServiceDeps, entryMethods } from "./entry.ts";
import { federatedBundleMethods } from "./federated-bundle.ts";
import { type HealthServiceDeps, healthMethods } from "./health.ts";
import { type JoinTokenDeps, joinTokenMethods } from "./join-token.ts";
import { type JwtReserveServiceDeps, jwtReserveMethods } from "./jwt-reserve.ts";
import { type JwtSvidServiceDeps, jwtSvidMethods } from "./jwt-svid.ts";
import { type LocalAuthorityDeps, localAuthorityMethods } from "./local-authority.ts";
import { type LoggerServiceDeps, loggerMethods } from "./logger.ts";
import { nodeMethods } from "./nodes.ts";
import { agentSelfMethods, type RenewDeps } from "./renew.ts";
import { type SvidServiceDeps, svidMethods } from "./svid.ts";
import { type SyncServiceDeps, syncMethods } from "./sync.ts";
import { type WatchServiceDeps, watchMethods } from "./watch.ts";
import { type WitSvidServiceDeps, witSvidMethods } from "./wit-svid.ts";

/** What all services together need. */
export type Services = AgentAdminDeps &
  AttestDeps &
  BundleServiceDeps &
  DebugServiceDeps &
  EntryServiceDeps &
  HealthServiceDeps &
  JoinTokenDeps &
  JwtReserveServiceDeps &
  JwtSvidServiceDeps &
  LocalAuthorityDeps &
  LoggerServiceDeps &
  RenewDeps &
  SvidServiceDeps &
  SyncServiceDeps &
  WatchServiceDeps &
  WitSvidServiceDeps;

/** The methods for the admin socket, and those for TLS. Throws for a method without an authorization row, which is a bug. */
export function tables(services: Services): {
  readonly local: MethodTable<RpcContext>;
  readonly remote: MethodTable<RpcContext>;
} {
  const built = new Map([
    ...agentAdminMethods(services),
    ...nodeMethods(services),
    ...joinTokenMethods(services),
    ...agentSelfMethods(services),
    ...attestMethods(services),
    ...entryMethods(services),
    ...syncMethods(services),
    ...svidMethods(services),
    ...jwtSvidMethods(services),
    ...jwtReserveMethods(services),
    ...witSvidMethods(services),
    ...localAuthorityMethods(services),
    ...bundleMethods(services),
    ...federatedBundleMethods(services),
    ...watchMethods(services),
    ...loggerMethods(services),
    ...debugMethods(services),
    ...healthMethods(services),
  ]);
  const unlisted = [...built.keys()].filter((method) => !AUTHORIZED_METHODS.includes(method));
  if (unlisted.length > 0) throw new Error(`no authorization row for ${unlisted.join(", ")}`);
  const local = new Map(AUTHORIZED_METHODS.map((method) => [method, built.get(method) ?? UNIMPLEMENTED]));
  const remote = new Map(Array.from(local).filter(([method]) => !isLocalOnly(method)));
  return { local, remote };
}

/** Authorized like any other, so that nobody learns by it what is built. */
const UNIMPLEMENTED: Method<RpcContext> = {
  kind: "single",
  run: (call) => call.end(GrpcCode.UNIMPLEMENTED, `method ${call.method} not implemented`),
};

function isLocalOnly(method: string): boolean {
  return LOCAL_ONLY_SERVICES.has(method.split("/")[1] ?? "");
}
