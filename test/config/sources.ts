/** Configuration files for the tests: valid ones, and ways to spoil them. */
import { AGENT_NODE_ATTESTORS } from "../../src/cli/agent/node-attestors.ts";
import { SERVER_NODE_ATTESTORS } from "../../src/cli/server/node-attestors.ts";
import { loadAgentConfig as loadAgent, loadServerConfig as loadServer, type Source } from "../../src/config/load.ts";
import { AgentError } from "../../src/lib/errors.ts";

/** Loads as `holdfast-agent` does, with its node attestors. */
export const loadAgentConfig = (source: Source) => loadAgent(source, AGENT_NODE_ATTESTORS);

/** Loads as `holdfast-server` does. */
export const loadServerConfig = (source: Source) => loadServer(source, SERVER_NODE_ATTESTORS);

export const AGENT_FILE = `agent {
  trust_domain = "example.org"
  server_address = "server.example.org"
  server_port = 8081
  trust_bundle_path = "/etc/bundle.pem"
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "/var/lib/keys" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;

export const SERVER_FILE = `server {
  trust_domain = "example.org"
  data_dir = "/var/lib/server"
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "/var/lib/server/db" } }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
}
`;

/** The file with more lines at the end of its first section. */
export function withKeys(file: string, lines: string): string {
  return file.replace(/^\}$/m, `${lines}\n}`);
}

/** The file without the lines that hold a text. */
export function withoutLine(file: string, text: string): string {
  return file
    .split("\n")
    .filter((line) => !line.includes(text))
    .join("\n");
}

/** The lines of the one error that `load` must throw. */
export function problemsOf(load: () => unknown): readonly string[] {
  try {
    load();
  } catch (error) {
    if (error instanceof AgentError && error.code === "INVALID_ARGUMENT") return error.message.split("\n");
    throw error;
  }
  return [];
}
