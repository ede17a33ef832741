/** Entry point of holdfast-agent. */
import { assertNodeVersion } from "./node-version.ts";

// Node has four threads for files, and a caller's file system that hangs takes one for good: a dozen may go.
process.env.UV_THREADPOOL_SIZE ??= "16";

assertNodeVersion();
const { main } = await import("./main.ts");
const { AGENT_COMMANDS } = await import("./agent/commands.ts");
await main("holdfast-agent", "gives every process on this node its SPIFFE identity", AGENT_COMMANDS);
