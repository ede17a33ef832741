/** `grpc.health.v1.Health` on the admin socket: serving as long as the bundle can be read. */
import { HealthCheckResponse_ServingStatus, HealthService } from "../../gen/grpc/health/v1/health.ts";
import { errorText, publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";

/** What the service needs. */
export interface HealthServiceDeps {
  readonly log: Logger;
  /** Throws while the server cannot do its work. */
  readonly check: () => Promise<void>;
}

/** The service's methods. */
export function healthMethods(deps: HealthServiceDeps): readonly NamedMethod[] {
  return [
    unaryMethod(HealthService.check, async ({ service }) => {
      if (service !== "") throw publicError("INVALID_ARGUMENT", "per-service health is not supported");
      try {
        await deps.check();
        return { status: HealthCheckResponse_ServingStatus.SERVING };
      } catch (error) {
        deps.log.warn("Health check failed", { error: errorText(error) });
        return { status: HealthCheckResponse_ServingStatus.NOT_SERVING };
      }
    }),
  ];
}
