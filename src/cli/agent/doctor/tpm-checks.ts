/** The checks of a node that proves itself by its TPM, each as far as the one before lets it get. */
import type { TpmAgentConfig } from "../../../attestors/tpm/config.ts";
import { TPM } from "../../../attestors/tpm/wire.ts";
import type { AgentConfig } from "../../../config/agent-config.ts";
import type { Clock } from "../../../lib/clock.ts";
import { silentLogger } from "../../../lib/log.ts";
import type { NativeAddon } from "../../../lib/native.ts";
import { agentId } from "../../../spiffe/id.ts";
import { choiceIn, openerOf } from "../tpm.ts";
import { type Check, checked, skip } from "./check.ts";
import { type EkFacts, judgeCertificate, judgeKey, judgeNoKey } from "./ek-certificate.ts";
import { judgePcrs, judgeTpm } from "./tpm.ts";
import { deviceFacts, judgeDevice, judgeLibrary } from "./tpm-device.ts";
import { askForKey, askTpm } from "./tpm-questions.ts";

/** What the checks need. */
export interface TpmCheckDeps {
  readonly clock: Clock;
  readonly native: NativeAddon;
  readonly config: Pick<AgentConfig, "dataDir" | "trustDomain">;
  readonly options: TpmAgentConfig;
  /** Whose agent it is. */
  readonly uid: number;
  /** ID of the stored SVID that is still good. */
  readonly storedId: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const NAMES = ["tpm_library", "tpm_device", "tpm", "tpm_pcrs", "endorsement_key", "ek_certificate"] as const;

/** All of them, in this order; those that cannot be made are skipped. */
export async function tpmChecks(deps: TpmCheckDeps): Promise<readonly Check[]> {
  const done: Check[] = [];
  const { native, options, uid } = deps;
  done.push(await checked("tpm_library", () => judgeLibrary(native.tpmUnavailable())));
  const quick = openerOf({ ...options, timeoutMs: Math.min(options.timeoutMs, deps.timeoutMs) }, deps);
  done.push(await checked("tpm_device", () => judgeDevice(deviceFacts(quick.tcti, uid, options.tcti === undefined))));
  if (hasFailed(done)) return withSkipped(done);
  const answers = await askTpm(quick, deps.signal);
  done.push(await checked("tpm", () => judgeTpm(answers)));
  if ("found" in answers) return withSkipped(done);
  done.push(await checked("tpm_pcrs", () => judgePcrs(answers)));
  if (done.some(({ name, status }) => name === "tpm" && status === "fail")) return withSkipped(done);
  return withSkipped([...done, ...(await keyChecks(deps))]);
}

/** A TPM that answers gets the time that an attestation gives it: making a key is slow. */
async function keyChecks(deps: TpmCheckDeps): Promise<readonly Check[]> {
  const { clock, config, options, storedId, signal } = deps;
  const stored = await choiceIn(config.dataDir, silentLogger)
    .load()
    // As a file that cannot be read would stop the agent, another check tells of it.
    .catch(() => undefined);
  const key = await askForKey(openerOf(options, deps), { kind: options.ek, remembered: stored?.template }, signal);
  if ("found" in key) return [await checked("endorsement_key", () => judgeNoKey(key))];
  const facts: EkFacts = {
    key,
    trustDomain: config.trustDomain,
    now: clock.now(),
    storedHash: stored?.hash,
    hasJoined: storedId === agentId(config.trustDomain, TPM, key.hash),
  };
  return [
    await checked("endorsement_key", () => judgeKey(facts)),
    await checked("ek_certificate", () => judgeCertificate(facts)),
  ];
}

function hasFailed(checks: readonly Check[]): boolean {
  return checks.some(({ status }) => status === "fail");
}

function withSkipped(done: readonly Check[]): readonly Check[] {
  const rest = NAMES.filter((name) => !done.some((check) => check.name === name));
  return [...done, ...rest.map((name) => ({ name, ...skip("needs what failed before") }))];
}
