/** `status`: how the agent is, once or again and again. */
import { StatusService } from "../../gen/holdfast/agent/v1/status.ts";
import { errorText } from "../../lib/errors.ts";
import { isAbort } from "../../lib/tasks.ts";
import { type CliContext, type CommandRun, flag, type OptionValues } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { withAdmin } from "./admin.ts";
import { statusText } from "./status-text.ts";

const INTERVAL_MS = 2_000;
/** Clears a terminal and goes to its first line (ECMA-48, 8.3.39 and 8.3.21). */
const CLEAR = "\u001b[2J\u001b[H";

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  if (!flag(options, "watch")) return show(options, context);
  const { clock, signal } = context;
  while (!signal.aborted) {
    try {
      await show(options, context, CLEAR);
    } catch (error) {
      context.err(`Error: ${errorText(error)}\n`);
    }
    try {
      await clock.sleep(INTERVAL_MS, signal);
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
  }
  return 0;
};

async function show(options: OptionValues, context: CliContext, before = ""): Promise<number> {
  const status = await withAdmin(options, context, (client) =>
    call(client, StatusService.getStatus, { maxIdentities: 0 }, adminDeadline(context)),
  );
  const { terminal, env, clock } = context;
  const colour = terminal !== undefined && (env.NO_COLOR ?? "") === "";
  print(options, context, status, () => {
    const page = statusText(status, { now: clock.now(), colour });
    if (terminal === undefined) context.out(page);
    else terminal(before + page);
  });
  return status.serving ? 0 : 1;
}
