/** `entry show` and `entry count`. */
import { EntryService, type ListEntriesResponse } from "../../gen/spire/api/server/entry/v1/entry.ts";
import type { Entry } from "../../gen/spire/api/types/entry.ts";
import { type CommandRun, text } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { idText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { entryFilter } from "./entry-filter.ts";
import { entryText } from "./entry-print.ts";

const PAGE_SIZE = 500;

/** `entry show`. */
export const show: CommandRun = async (options, context) => {
  outputFormat(options);
  const id = text(options, "entryID");
  const filter = entryFilter(options);
  const response = await withServer(options, context, async (client): Promise<ListEntriesResponse> => {
    if (id !== "") {
      const entry = await call(client, EntryService.getEntry, { id, outputMask: undefined }, adminDeadline(context));
      return { entries: [entry], nextPageToken: "" };
    }
    const entries: Entry[] = [];
    let pageToken = "";
    do {
      const page = await call(
        client,
        EntryService.listEntries,
        { filter, outputMask: undefined, pageSize: PAGE_SIZE, pageToken },
        adminDeadline(context),
      );
      entries.push(...page.entries);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return { entries: entries.sort(inReadingOrder), nextPageToken: "" };
  });
  print(options, context, response, () => {
    const count = response.entries.length;
    context.out(`Found ${count} ${count === 1 ? "entry" : "entries"}\n`);
    for (const entry of response.entries) context.out(entryText(entry));
  });
  return 0;
};

/** `entry count`. */
export const count: CommandRun = async (options, context) => {
  outputFormat(options);
  const response = await withServer(options, context, (client) =>
    call(client, EntryService.countEntries, { filter: entryFilter(options) }, adminDeadline(context)),
  );
  print(options, context, response, () => {
    context.out(`${response.count} registration ${response.count === 1 ? "entry" : "entries"}\n`);
  });
  return 0;
};

function inReadingOrder(a: Entry, b: Entry): number {
  return (
    compare(idText(a.spiffeId), idText(b.spiffeId)) ||
    compare(idText(a.parentId), idText(b.parentId)) ||
    compare(a.id, b.id)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
