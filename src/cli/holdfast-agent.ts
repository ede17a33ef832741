/** Entry point of holdfast-agent. */
import { assertNodeVersion } from "./node-version.ts";

assertNodeVersion();
const { main } = await import("./main.ts");
const { AGENT_COMMANDS } = await import("./agent/commands.ts");
await main("holdfast-agent", "gives every process on this node its SPIFFE identity", AGENT_COMMANDS);
