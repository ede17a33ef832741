/** What a quote tells of a node beside its PCR policy, and what changed since the one before. */
import type { NodeFacts } from "../node.ts";
import type { VerifiedQuote } from "./verify/quote.ts";

/** A line for the log. */
export interface Drift {
  readonly level: "info" | "warn";
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Names of the facts. */
const RESETS = "reset_count";
const RESTARTS = "restart_count";
const FIRMWARE = "firmware_version";
const PCR = "pcr";

/** The facts of a verified quote, as short texts. */
export function factsOf({ clockInfo, firmwareVersion, pcrs }: VerifiedQuote): NodeFacts {
  const values = [...pcrs].flatMap(([bank, values]) =>
    [...values].map(([index, value]) => [`${PCR}:${bank}:${index}`, Buffer.from(value).toString("hex")] as const),
  );
  return {
    [FIRMWARE]: firmwareVersion.toString(16).padStart(16, "0"),
    [RESETS]: String(clockInfo.resetCount),
    [RESTARTS]: String(clockInfo.restartCount),
    ...Object.fromEntries(values),
  };
}

/**
 * What an operator should know: the machine was booted anew, its TPM has other firmware, its PCRs differ, or it no longer
 * tells (`now` is undefined).
 */
export function drift(before: NodeFacts, now: NodeFacts | undefined): readonly Drift[] {
  const lines: Drift[] = [];
  if (now === undefined) {
    const message = "The node quoted its PCRs when it attested before, and did not now";
    return before[RESETS] === undefined ? [] : [{ level: "warn", message, fields: {} }];
  }
  const resets = changed(before, now, RESETS);
  if (resets !== undefined) {
    const isBack = Number(resets.to) < Number(resets.from);
    const fields = { old_reset_count: resets.from, reset_count: resets.to };
    lines.push(
      isBack
        ? { level: "warn", message: "The node's TPM was cleared since it last attested", fields }
        : { level: "info", message: "The node was booted anew since it last attested", fields },
    );
  }
  const firmware = changed(before, now, FIRMWARE);
  if (firmware !== undefined) {
    const fields = { old_firmware_version: firmware.from, firmware_version: firmware.to };
    lines.push({ level: "warn", message: "The node's TPM has other firmware than when it last attested", fields });
  }
  const pcrs = Object.keys(now).filter(
    (name) => name.startsWith(`${PCR}:`) && changed(before, now, name) !== undefined,
  );
  if (pcrs.length > 0) {
    const fields = { pcrs: pcrs.map((name) => name.slice(PCR.length + 1)).join(",") };
    lines.push({ level: "info", message: "The node's PCRs differ from when it last attested", fields });
  }
  return lines;
}

function changed(before: NodeFacts, now: NodeFacts, name: string): { from: string; to: string } | undefined {
  const [from, to] = [before[name], now[name]];
  return from === undefined || to === undefined || from === to ? undefined : { from, to };
}
