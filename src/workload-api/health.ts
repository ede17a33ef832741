/** gRPC health of the Workload API's socket (`grpc.health.v1`): `Check` only, for the server as a whole. */
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
} from "../gen/grpc/health/v1/health.ts";
import { publicError } from "../lib/errors.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { type TypedOptions, unary } from "../lib/rpc/typed.ts";

/** Full name of the service. */
export const HEALTH_SERVICE = "grpc.health.v1.Health";

/** `Check`. `healthy` says whether the Workload API can answer callers now. */
export function healthMethods<P>(
  healthy: () => boolean,
  options: TypedOptions = {},
): [path: string, method: Method<P>][] {
  const check = unary<P, HealthCheckRequest, HealthCheckResponse>(
    { request: HealthCheckRequest, response: HealthCheckResponse },
    async ({ service }) => {
      if (service !== "") throw publicError("INVALID_ARGUMENT", "only the health of the whole server is known");
      const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;
      return { status: healthy() ? SERVING : NOT_SERVING };
    },
    options,
  );
  return [[`/${HEALTH_SERVICE}/Check`, check]];
}
