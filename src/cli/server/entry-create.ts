/** `entry create` and `entry update`: both send entries and report per entry. */
import { EntryService } from "../../gen/spire/api/server/entry/v1/entry.ts";
import type { Entry } from "../../gen/spire/api/types/entry.ts";
import type { Status } from "../../gen/spire/api/types/status.ts";
import { GrpcCode, grpcCodeName } from "../../lib/grpc-status.ts";
import { visible } from "../../lib/visible.ts";
import { type CliContext, type CommandRun, type OptionValues, required, text } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { withServer } from "./admin.ts";
import { entriesFromOptions } from "./entry-options.ts";
import { entryText } from "./entry-print.ts";

/** What the server answered for one entry. */
interface Result {
  readonly status: Status | undefined;
  readonly entry: Entry | undefined;
}

/** `entry create`. */
export const create: CommandRun = async (options, context) => {
  outputFormat(options);
  const entries = await entriesFromOptions(options, context);
  return withServer(options, context, async (client) => {
    const response = await call(
      client,
      EntryService.batchCreateEntry,
      { entries, outputMask: undefined },
      adminDeadline(context),
    );
    return report("create", entries, response, options, context);
  });
};

/** `entry update`. */
export const update: CommandRun = async (options, context) => {
  outputFormat(options);
  if (text(options, "data") === "") required(options, "entryID");
  const entries = await entriesFromOptions(options, context);
  return withServer(options, context, async (client) => {
    const response = await call(
      client,
      EntryService.batchUpdateEntry,
      { entries, inputMask: undefined, outputMask: undefined },
      adminDeadline(context),
    );
    return report("update", entries, response, options, context);
  });
};

function report(
  verb: "create" | "update",
  asked: readonly Entry[],
  response: { readonly results: readonly Result[] },
  options: OptionValues,
  context: CliContext,
): number {
  const results = response.results.map((result, index) =>
    isOk(result) ? result : { status: result.status, entry: asked[index] },
  );
  const failed = results.filter((result) => !isOk(result));
  print(options, context, { results }, () => {
    for (const result of results) {
      if (isOk(result) && result.entry !== undefined) context.out(entryText(result.entry));
    }
    for (const { status, entry } of results) {
      const warning = /^OK; warning: (.+)$/.exec(status?.message ?? "")?.[1];
      if (status?.code === GrpcCode.OK && warning !== undefined) {
        context.err(`Warning: ${visible(entry?.id ?? "")}: ${visible(warning)}\n`);
      }
    }
    for (const { status, entry } of failed) {
      const reason = `(code: ${grpcCodeName(status?.code ?? GrpcCode.UNKNOWN)}, msg: ${JSON.stringify(status?.message ?? "")})`;
      context.err(`Failed to ${verb} the following entry ${reason}:\n${entry === undefined ? "" : entryText(entry)}`);
    }
    if (failed.length > 0) context.err(`Error: failed to ${verb} one or more entries\n`);
  });
  return failed.length > 0 ? 1 : 0;
}

function isOk(result: Result): boolean {
  return result.status?.code === GrpcCode.OK;
}
