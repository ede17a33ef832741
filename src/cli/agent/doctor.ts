/** `holdfast-agent doctor`: looks at everything that the agent needs, and changes nothing. */
import type { Loaded } from "../../config/shared-config.ts";
import { errorText } from "../../lib/errors.ts";
import type { NativeAddon } from "../../lib/native.ts";
import { type CliContext, type CommandRun, type OptionValues, text } from "../command.ts";
import { loadNative } from "../native.ts";
import { outputFormat } from "../output.ts";
import { loadAgentConfigFile } from "./config-file.ts";
import { type Check, exitStatus, fail, ok, warn } from "./doctor/check.ts";
import { type DoctorConfig, Examination } from "./doctor/examination.ts";
import { checkText, reportJson, summaryText } from "./doctor/report.ts";
import { timeoutMs } from "./workload.ts";

const DEFAULT_TIMEOUT = "10s";

export const run: CommandRun = async (options, context) => {
  const format = outputFormat(options);
  const timeout = timeoutMs({ ...options, timeout: text(options, "timeout", DEFAULT_TIMEOUT) });
  const done: Check[] = [];
  for await (const check of allChecks(options, context, timeout)) {
    // Lines come as they are known: some checks wait for as long as they may.
    if (format === "pretty") context.out(checkText(check));
    done.push(check);
  }
  context.out(format === "json" ? reportJson(done) : summaryText(done));
  return exitStatus(done);
};

async function* allChecks(options: OptionValues, context: CliContext, timeout: number): AsyncIterable<Check> {
  let loaded: Loaded<DoctorConfig>;
  try {
    loaded = loadAgentConfigFile(options, context);
  } catch (error) {
    yield { name: "configuration", ...fail(errorText(error), "correct it; docs/configuration.md has every key") };
    return;
  }
  yield configurationCheck(loaded);
  const addon = nativeAddon();
  yield addon.check;
  const examination = await Examination.begin(loaded.config, {
    native: addon.native,
    context,
    timeoutMs: timeout,
  });
  // All are begun at once, for each may wait for something else.
  for (const group of examination.groups()) {
    yield* await group;
    context.signal.throwIfAborted();
  }
}

function configurationCheck({ config, warnings }: Loaded<DoctorConfig>): Check {
  const { trustDomain, serverAddress, serverPort, plugins } = config;
  const found = `trust domain ${trustDomain}, server ${serverAddress} port ${serverPort}, attestor ${plugins.nodeAttestor.name}`;
  const verdict =
    warnings.length === 0
      ? ok(found)
      : warn([found, ...warnings].join("\n"), "the agent runs, without what it says there");
  return { name: "configuration", ...verdict };
}

function nativeAddon(): { readonly check: Check; readonly native: NativeAddon | undefined } {
  try {
    return { native: loadNative(), check: { name: "native_addon", ...ok("loaded") } };
  } catch (error) {
    return { native: undefined, check: { name: "native_addon", ...fail(errorText(error)) } };
  }
}
