/** Entry point of holdfast-server. */
import { assertNodeVersion } from "./node-version.ts";

assertNodeVersion();
const { main } = await import("./main.ts");
const { SERVER_COMMANDS, SERVER_NOT_IN_THIS_VERSION } = await import("./server/commands.ts");
await main(
  "holdfast-server",
  "the companion server: CA, datastore and registration entries",
  SERVER_COMMANDS,
  SERVER_NOT_IN_THIS_VERSION,
);
