/** `api fetch` and `api fetch x509`. */
import { type CommandRun, flag, text } from "../command.ts";
import { outputFormat } from "../output.ts";
import { protoJson } from "../proto-json.ts";
import { timeoutMs, withAgent } from "./workload.ts";
import { fetchX509 } from "./x509-context.ts";
import { writeX509, x509Text } from "./x509-print.ts";

export const run: CommandRun = async (options, context) => {
  const format = outputFormat(options);
  const timeout = timeoutMs(options);
  const started = context.clock.monotonic();
  const response = await withAgent(options, context, (client) => fetchX509(client, context.clock.now() + timeout));
  const elapsed = context.clock.monotonic() - started;
  if (format === "json") context.out(`${protoJson(response)}\n`);
  else if (!flag(options, "silent")) context.out(x509Text(response, elapsed));
  const folder = text(options, "write");
  if (folder !== "") writeX509(response, folder, context);
  return 0;
};
