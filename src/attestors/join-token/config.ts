/** How `NodeAttestor "join_token"` is configured: by nothing of its own; the agent's token stands in its main section. */
import { plugin } from "../../config/plugins.ts";
import { JOIN_TOKEN } from "./wire.ts";

/** For the agent. */
export const JOIN_TOKEN_AGENT_PLUGIN = plugin(JOIN_TOKEN, {}, "Shows the server a token, once.", () => ({}));

/** For the server. */
export const JOIN_TOKEN_SERVER_PLUGIN = plugin(
  JOIN_TOKEN,
  {},
  "Admits agents that show a token, once each.",
  () => ({}),
);
