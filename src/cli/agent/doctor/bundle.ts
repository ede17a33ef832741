/** Check `bundle`: whom the agent trusts to be its server, from what it stored or from what is configured. */
import { type BootstrapSource, readBootstrapBundle } from "../../../agent/bootstrap-bundle.ts";
import type { AgentConfig } from "../../../config/agent-config.ts";
import type { Clock } from "../../../lib/clock.ts";
import { errorText } from "../../../lib/errors.ts";
import { parseCertificate } from "../../../pki/certificate.ts";
import type { Lifetime } from "../../../spiffe/rotation.ts";
import type { Der } from "../../../spiffe/svid.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { errnoOf, momentText } from "./words.ts";

/** One of the two places. */
export type BundleFound =
  | { readonly kind: "authorities"; readonly authorities: readonly Der[]; readonly lives: readonly Lifetime[] }
  | { readonly kind: "error"; readonly text: string };

/** Both places. */
export interface BundleFacts {
  readonly now: number;
  /** Absent: none is stored. */
  readonly stored: BundleFound | undefined;
  readonly configured: BundleFound | "insecure";
  /** Its path or URL. */
  readonly where: string;
}

/** Certificates with their lifetimes. */
export function foundAuthorities(authorities: readonly Der[]): BundleFound {
  const lives = authorities.map(parseCertificate).map(({ notBefore, notAfter }) => ({ notBefore, notAfter }));
  return { kind: "authorities", authorities, lives };
}

/** The configured one, read as the agent would at its first start. */
export async function configuredBundle(
  config: Pick<AgentConfig, "bootstrap" | "trustDomain" | "serverAddress" | "serverPort">,
  clock: Clock,
  signal: AbortSignal,
): Promise<BundleFound | "insecure"> {
  const { trustDomain, serverAddress: serverHost, serverPort } = config;
  const options = { clock, trustDomain, serverHost, serverPort };
  const attempt = { failures: 0, startedAt: clock.now() };
  try {
    const bundle = await readBootstrapBundle(options, config.bootstrap, attempt, signal);
    return bundle === "insecure" ? bundle : foundAuthorities(bundle.x509Authorities.map((one) => one.certificate));
  } catch (error) {
    return { kind: "error", text: signal.aborted ? "it did not come in time" : problemText(error) };
  }
}

/** Without the path, which stands before it. */
function problemText(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && "syscall" in cause) return errnoOf(cause);
  return errorText(cause ?? error);
}

/** What the configuration names, for people. */
export function bundlePlace(source: BootstrapSource): string {
  if (source.kind === "insecure") return "insecure_bootstrap";
  return source.kind === "file" ? source.path : source.url;
}

/** What the agent would judge the server by. */
export function trustOf({ stored, configured }: BundleFacts): readonly Der[] | "insecure" | undefined {
  if (stored?.kind === "authorities") return stored.authorities;
  if (configured === "insecure") return configured;
  return configured.kind === "authorities" ? configured.authorities : undefined;
}

/** Decides. */
export function judgeBundle(facts: BundleFacts): Verdict {
  const { now, stored, configured, where } = facts;
  if (stored?.kind === "authorities") {
    const verdict = judgeLives(stored.lives, now, "the stored bundle", RESTART);
    if (verdict.status !== "ok" || configured === "insecure" || configured.kind === "authorities") return verdict;
    const why = `; ${where}, which only a first start needs, cannot be used: ${configured.text}`;
    return { ...warn(verdict.found + why, REFRESH), ...detailsOf(verdict) };
  }
  if (configured === "insecure") {
    return warn(
      "none: insecure_bootstrap takes whatever server answers first",
      "for more than a trial set trust_bundle_path to what `holdfast-server bundle show` prints",
    );
  }
  if (configured.kind === "error") return fail(`${where} cannot be used: ${configured.text}`, REFRESH);
  return judgeLives(configured.lives, now, where, REFRESH);
}

const REFRESH =
  "put there what `holdfast-server bundle show` prints on the server; the format is trust_bundle_format's";
const RESTART = "stop the agent, move its agent-data.json away and start it, so that it reads the configured bundle";

function judgeLives(lives: readonly Lifetime[], now: number, where: string, mend: string): Verdict {
  const ends = lives.map(({ notAfter }) => notAfter).sort((a, b) => a - b);
  const [first = 0, last = 0] = [ends[0], ends.at(-1)];
  const expired = ends.filter((end) => end < now).length;
  const details = {
    authorities: ends.length,
    expired,
    first_expires_at: new Date(first).toISOString(),
    last_expires_at: new Date(last).toISOString(),
  };
  const count = `${ends.length} ${ends.length === 1 ? "authority" : "authorities"}`;
  if (expired === ends.length) {
    return { ...fail(`${where}: ${count}, the last expired ${momentText(last, now)}`, mend), details };
  }
  if (lives.every(({ notBefore, notAfter }) => notAfter < now || notBefore > now)) {
    return { ...fail(`${where}: ${count}, none valid yet`, "check this host's clock"), details };
  }
  const dead = expired === 0 ? "" : `, ${expired} of them expired`;
  const soonest = ends.find((end) => end >= now) ?? last;
  return { ...ok(`${where}: ${count}${dead}, the next expires ${momentText(soonest, now)}`), details };
}

function detailsOf({ details }: Verdict): Pick<Verdict, "details"> {
  return details === undefined ? {} : { details };
}
