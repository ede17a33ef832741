/** `entry delete`. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { EntryService } from "../../gen/spire/api/server/entry/v1/entry.ts";
import { errorText, publicError } from "../../lib/errors.ts";
import { GrpcCode, grpcCodeName } from "../../lib/grpc-status.ts";
import { type CliContext, type CommandRun, type OptionValues, text, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { withServer } from "./admin.ts";

const FILE = z.strictObject({ ids: z.array(z.string().min(1)).min(1) });

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const ids = await entryIds(options, context);
  const response = await withServer(options, context, (client) =>
    call(client, EntryService.batchDeleteEntry, { ids }, adminDeadline(context)),
  );
  const failed = response.results.filter(({ status }) => status?.code !== GrpcCode.OK);
  print(options, context, response, () => {
    for (const { id, status } of response.results) {
      if (status?.code === GrpcCode.OK) context.out(`Deleted entry with ID: ${id}\n`);
      else {
        const reason = `(code: ${grpcCodeName(status?.code ?? GrpcCode.UNKNOWN)}, msg: ${JSON.stringify(status?.message ?? "")})`;
        context.err(`Failed to delete entry with ID ${id} ${reason}\n`);
      }
    }
    const deleted = response.results.length - failed.length;
    if (failed.length === 0) context.out(`\nDeleted ${deleted} entries successfully\n`);
    else {
      context.out(
        deleted === 0
          ? `\nFailed to delete ${failed.length} entries\n`
          : `\nDeleted ${deleted} entries successfully, but failed to delete ${failed.length} entries\n`,
      );
      context.err("Error: failed to delete one or more entries\n");
    }
  });
  return failed.length > 0 ? 1 : 0;
};

async function entryIds(options: OptionValues, context: CliContext): Promise<string[]> {
  const id = text(options, "entryID");
  const file = text(options, "file");
  if (id !== "" && file !== "") throw new UsageError("only one of -entryID or -file may be given");
  if (id !== "") return [id];
  if (file === "") throw new UsageError("an entry ID is required (-entryID)");
  try {
    return FILE.parse(JSON.parse(file === "-" ? await context.stdin() : readFileSync(file, "utf8"))).ids;
  } catch (error) {
    throw publicError(
      "INVALID_ARGUMENT",
      `-file: ${file} must hold {"ids": [...]} (${errorText(error).split("\n")[0]})`,
    );
  }
}
