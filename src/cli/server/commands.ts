/** The commands of holdfast-server, with SPIRE's names and flags. */
import type { CommandSpec, OptionSpec } from "../command.ts";
import { loggerCommands } from "../logger-commands.ts";
import { configOptions, healthcheckCommand, LOG_OPTIONS, OUTPUT_OPTION, validateCommand } from "../shared-options.ts";
import { ADMIN_OPTIONS } from "./admin.ts";
import { AGENT_FILTER_OPTIONS } from "./agent-filter.ts";
import { bundleCommands } from "./bundle-commands.ts";
import { ENTRY_FILTER_OPTIONS } from "./entry-filter.ts";
import { ENTRY_OPTIONS } from "./entry-options.ts";
import { localAuthorityCommands } from "./localauthority-commands.ts";

const CONFIG_OPTIONS = configOptions("conf/server/server.conf");
const AGENT_ID: OptionSpec = { name: "spiffeID", value: "id", description: "The agent's SPIFFE ID." };
const ENTRY_ID: OptionSpec = { name: "entryID", value: "id", description: "The ID of the entry." };
const ADMIN = [...ADMIN_OPTIONS, OUTPUT_OPTION];

/** They win over the configuration file; `validate` judges both together, as `run` does. */
const RUN_OPTIONS: readonly OptionSpec[] = [
  ...CONFIG_OPTIONS,
  { name: "bindAddress", value: "address", description: "The IP address to listen on.", default: "0.0.0.0" },
  { name: "serverPort", value: "port", description: "The TCP port to listen on.", default: "8081" },
  { name: "dataDir", value: "path", description: "The folder for what the server keeps." },
  {
    name: "socketPath",
    value: "path",
    description: "The admin socket.",
    default: "/tmp/spire-server/private/api.sock",
  },
  { name: "trustDomain", value: "name", description: "The trust domain that the server signs for." },
  ...LOG_OPTIONS,
];

/** SPIRE's other commands. */
export const SERVER_NOT_IN_THIS_VERSION: readonly (readonly string[])[] = [["upstreamauthority"], ["federation"]];

/** All commands. Each loads its code when it runs. */
export const SERVER_COMMANDS: readonly CommandSpec[] = [
  {
    path: ["run"],
    summary: "run the server",
    description:
      "Reads the configuration, opens the datastore, prepares the CA and serves agents on TCP and administration on a Unix socket until SIGINT or SIGTERM.\n\nFlags win over the file. SIGUSR2 reopens the log file.",
    options: RUN_OPTIONS,
    examples: [
      { line: "holdfast-server run -config /etc/holdfast/server.conf", does: "Runs with a configuration file:" },
    ],
    load: () => import("./run.ts"),
  },
  validateCommand(RUN_OPTIONS, () => import("./validate.ts")),
  healthcheckCommand("server", ADMIN_OPTIONS, () => import("./healthcheck.ts")),
  {
    path: ["entry", "create"],
    summary: "register a workload",
    description:
      "Creates one entry from flags, or several from a file. An identical entry (same SPIFFE ID, parent and selectors) is refused with AlreadyExists.",
    options: [...ENTRY_OPTIONS, ...ADMIN],
    examples: [
      {
        line: "holdfast-server entry create -parentID spiffe://example.org/spire/agent/join_token/abc -spiffeID spiffe://example.org/web -selector unix:uid:1000",
        does: "Gives processes of uid 1000 below one agent an identity:",
      },
    ],
    load: async () => ({ run: (await import("./entry-create.ts")).create }),
  },
  {
    path: ["entry", "update"],
    summary: "replace an entry",
    description: "Replaces the whole entry of the given ID; its revision grows by one.",
    options: [...ENTRY_OPTIONS, ...ADMIN],
    load: async () => ({ run: (await import("./entry-create.ts")).update }),
  },
  {
    path: ["entry", "show"],
    summary: "show entries",
    description: "Shows one entry, or those that fit all given filters.",
    options: [ENTRY_ID, ...ENTRY_FILTER_OPTIONS, ...ADMIN],
    load: async () => ({ run: (await import("./entry-show.ts")).show }),
  },
  {
    path: ["entry", "count"],
    summary: "count entries",
    options: [...ENTRY_FILTER_OPTIONS, ...ADMIN],
    load: async () => ({ run: (await import("./entry-show.ts")).count }),
  },
  {
    path: ["entry", "delete"],
    summary: "delete entries",
    options: [
      ENTRY_ID,
      {
        name: "file",
        value: "path",
        description: 'A JSON file, {"ids": [...]}, of the entries to delete ("-" for standard input).',
      },
      ...ADMIN,
    ],
    load: () => import("./entry-delete.ts"),
  },
  {
    path: ["token", "generate"],
    summary: "make a join token",
    description: "Makes a token with which one agent may join once.",
    options: [
      { name: "ttl", value: "seconds", description: "How long the token can be used.", default: "600" },
      {
        name: "spiffeID",
        value: "id",
        description: "A further SPIFFE ID for the agent that joins, to use as a parent in entries.",
      },
      ...ADMIN,
    ],
    load: () => import("./token.ts"),
  },
  ...bundleCommands(ADMIN),
  {
    path: ["agent", "list"],
    summary: "list attested agents",
    options: [...AGENT_FILTER_OPTIONS, ...ADMIN],
    load: async () => ({ run: (await import("./agents.ts")).list }),
  },
  {
    path: ["agent", "show"],
    summary: "show one attested agent",
    options: [AGENT_ID, ...ADMIN],
    load: async () => ({ run: (await import("./agents.ts")).show }),
  },
  {
    path: ["agent", "count"],
    summary: "count attested agents",
    options: [...AGENT_FILTER_OPTIONS, ...ADMIN],
    load: async () => ({ run: (await import("./agents.ts")).count }),
  },
  {
    path: ["agent", "evict"],
    summary: "forget an attested agent, which may attest again",
    options: [AGENT_ID, ...ADMIN],
    load: async () => ({ run: (await import("./agents.ts")).evict }),
  },
  {
    path: ["agent", "ban"],
    summary: "refuse an agent until it is evicted",
    options: [AGENT_ID, ...ADMIN],
    load: async () => ({ run: (await import("./agents.ts")).ban }),
  },
  {
    path: ["agent", "purge"],
    summary: "evict agents that expired long ago and can attest again",
    options: [
      {
        name: "expiredFor",
        value: "duration",
        description: "How long ago their SVID must have expired.",
        default: "720h",
      },
      { name: "dryRun", description: "Only says which agents would go." },
      ...ADMIN,
    ],
    load: () => import("./agent-purge.ts"),
  },
  {
    path: ["x509", "mint"],
    summary: "sign an X.509-SVID without an entry",
    description: "Makes a key here, has the server sign it and prints both; nothing is registered.",
    options: [
      { name: "spiffeID", value: "id", description: "The SPIFFE ID to sign for." },
      { name: "dns", value: "name", repeat: true, description: "A DNS name for the certificate." },
      {
        name: "ttl",
        value: "duration",
        description: "Its lifetime, such as 1h.",
        default: "the server's X.509-SVID TTL",
      },
      { name: "write", value: "folder", description: "Writes svid.pem, key.pem and bundle.pem instead of printing." },
      ...ADMIN,
    ],
    load: () => import("./x509-mint.ts"),
  },
  {
    path: ["jwt", "mint"],
    summary: "sign a JWT-SVID without an entry",
    description: "Has the server sign a token and prints it; nothing is registered.",
    options: [
      { name: "spiffeID", value: "id", description: "The SPIFFE ID to sign for." },
      { name: "audience", value: "name", repeat: true, description: "Who the token is for." },
      {
        name: "ttl",
        value: "duration",
        description: "Its lifetime, such as 5m.",
        default: "the server's JWT-SVID TTL",
      },
      {
        name: "write",
        value: "file",
        description: "Writes the token there, for its owner alone, instead of printing.",
      },
      ...ADMIN,
    ],
    load: () => import("./jwt-mint.ts"),
  },
  {
    path: ["wit", "mint"],
    summary: "sign a WIT-SVID without an entry",
    description:
      "Makes a key here, has the server sign a token for it and prints both; nothing is registered. The server must have the feature flag wit-svid.",
    options: [
      { name: "spiffeID", value: "id", description: "The SPIFFE ID to sign for." },
      {
        name: "keyType",
        value: "type",
        description: "ec-p256, ec-p384, rsa-2048 or rsa-4096.",
        default: "ec-p256",
      },
      { name: "signingAlgorithm", value: "name", description: "What the key signs with.", default: "ES256" },
      {
        name: "ttl",
        value: "duration",
        description: "Its lifetime, such as 1h.",
        default: "the server's X.509-SVID TTL",
      },
      {
        name: "write",
        value: "folder",
        description: "Writes token and key, for their owner alone, instead of printing.",
      },
      ...ADMIN,
    ],
    load: () => import("./wit-mint.ts"),
  },
  ...localAuthorityCommands(ADMIN),
  ...loggerCommands("server", ADMIN, async () => (await import("./logger.ts")).SERVER_LOGGER),
  {
    path: ["debug", "getinfo"],
    summary: "tell how long the server runs, what it stores and how agents trust it",
    options: ADMIN,
    load: async () => ({ run: (await import("./debug.ts")).getInfo }),
  },
];
