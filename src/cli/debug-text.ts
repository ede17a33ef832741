/** How both programs print what their Debug service tells, as SPIRE's do. */
import type { SPIFFEID } from "../gen/spire/api/types/spiffeid.ts";
import { visible } from "../lib/visible.ts";
import { idText } from "./wire.ts";

/** A certificate of a path, as both Debug services have it. */
export interface DebugCertificate {
  readonly id?: SPIFFEID | undefined;
  readonly subject: string;
  /** Unix seconds. */
  readonly expiresAt: bigint;
}

/** The lines of a path of certificates; none for an empty one. */
export function chainText(chain: readonly DebugCertificate[]): string {
  const certificates = chain.map(
    ({ id, subject, expiresAt }, index) =>
      `    [${index}] SPIFFE ID:  ${id === undefined ? "(none)" : visible(idText(id))}
        Subject:    ${visible(subject)}
        Expires At: ${rfc3339(expiresAt)}
`,
  );
  return certificates.length > 0 ? `  SVID Chain:\n${certificates.join("")}` : "";
}

/** Unix seconds as `2026-01-02T15:04:05Z`. */
export function rfc3339(unixSeconds: bigint): string {
  return `${new Date(Number(unixSeconds) * 1000).toISOString().slice(0, 19)}Z`;
}

/** Whole seconds as Go prints a duration: `1h2m3s`. */
export function goDuration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours > 0 ? `${hours}h` : ""}${seconds >= 60 ? `${minutes}m` : ""}${seconds % 60}s`;
}
