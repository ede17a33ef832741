/** The commands of holdfast-agent, with SPIRE's names and flags. */
import type { CommandSpec, OptionSpec } from "../command.ts";
import { loggerCommands } from "../logger-commands.ts";
import { configOptions, healthcheckCommand, LOG_OPTIONS, OUTPUT_OPTION, validateCommand } from "../shared-options.ts";
import { ADMIN_OPTIONS } from "./admin.ts";
import { DEFAULT_AGENT_SOCKET, TIMEOUT_OPTION, WORKLOAD_OPTIONS } from "./workload.ts";

const CONFIG_OPTIONS = configOptions("conf/agent/agent.conf");

/** They win over the configuration file; `validate` judges both together, as `run` does. */
const RUN_OPTIONS: readonly OptionSpec[] = [
  ...CONFIG_OPTIONS,
  { name: "dataDir", value: "path", description: "The folder for what the agent keeps." },
  { name: "joinToken", value: "token", description: "The join token to attest with." },
  { name: "joinTokenFile", value: "path", description: "A file that holds the join token." },
  { name: "serverAddress", value: "host", description: "The server's host name or IP address." },
  { name: "serverPort", value: "port", description: "The server's TCP port." },
  { name: "socketPath", value: "path", description: "The Workload API's socket.", default: DEFAULT_AGENT_SOCKET },
  { name: "trustDomain", value: "name", description: "The trust domain that the agent belongs to." },
  { name: "trustBundle", value: "path", description: "The server's CA certificates." },
  { name: "trustBundleUrl", value: "url", description: "Where to download them from (https)." },
  { name: "trustBundleFormat", value: "pem|spiffe", description: "How they are written.", default: "pem" },
  { name: "insecureBootstrap", description: "Trusts whatever server answers first. For trials only." },
  {
    name: "rebootstrapMode",
    value: "mode",
    description: "Only never is supported in this version.",
    default: "never",
  },
  { name: "rebootstrapDelay", value: "duration", description: "Has no effect in this version." },
  { name: "allowUnauthenticatedVerifiers", description: "Gives bundles to callers without an identity too." },
  { name: "disableWorkloadAPI", description: "Does not serve the Workload API." },
  { name: "disableSDSAPI", description: "Does not serve Envoy's SDS." },
  ...LOG_OPTIONS,
];

const FETCH_OPTIONS: readonly OptionSpec[] = [
  { name: "silent", description: "Prints nothing of the SVIDs." },
  {
    name: "write",
    value: "folder",
    description: "Writes certificates, keys and bundles as PEM files into this folder.",
  },
  TIMEOUT_OPTION,
  ...WORKLOAD_OPTIONS,
  OUTPUT_OPTION,
];

const AUDIENCE_OPTION: OptionSpec = { name: "audience", value: "names", description: "" };

const ADMIN = [...ADMIN_OPTIONS, OUTPUT_OPTION];

/** All commands. Each loads its code when it runs. */
export const AGENT_COMMANDS: readonly CommandSpec[] = [
  {
    path: ["run"],
    summary: "run the agent",
    description:
      "Proves to the server what this node is, keeps the SVIDs of its workloads fresh and serves them on a Unix socket until SIGINT or SIGTERM.\n\nFlags win over the file. SIGUSR2 reopens the log file.",
    options: RUN_OPTIONS,
    examples: [
      { line: "holdfast-agent run -config /etc/holdfast/agent.conf", does: "Runs with a configuration file:" },
    ],
    load: () => import("./run.ts"),
  },
  validateCommand(RUN_OPTIONS, () => import("./validate.ts")),
  {
    path: ["doctor"],
    summary: "find what keeps the agent from working on this node",
    description:
      "Looks at the socket's folder, the data folder, the clock, the bundle, the server and what the node attestor needs, such as the TPM, its permissions and its endorsement certificate. Prints a line for each with what is there and, where something is to be done, what. Nothing is changed, no token is spent, and the agent may be running. Run it as the agent's user, for whom permissions are judged; flags count as for run.\n\nExit status 0: nothing failed, though there may be warnings. 1: at least one check failed, or the command was used wrongly.",
    options: [
      ...RUN_OPTIONS,
      {
        name: "timeout",
        value: "duration",
        description: "How long a check may wait for the server, a bundle or an answer of the TPM.",
        default: "10s",
      },
      OUTPUT_OPTION,
    ],
    examples: [
      {
        line: "sudo -u holdfast holdfast-agent doctor -config /etc/holdfast/agent.conf",
        does: "Looks as the agent's user:",
      },
      {
        line: "holdfast-agent doctor -config agent.conf -output json | jq .ok",
        does: "One word for a program; its .checks have the rest:",
      },
    ],
    load: () => import("./doctor.ts"),
  },
  {
    path: ["status"],
    summary: "show how the agent is, and for how long its identities are covered",
    description:
      "Asks the agent's admin socket: the server, the last sync, the agent's own SVID, how long the server may be away from now on, what protects what is stored, and every identity with the life that it has left, those that end first at the top.\n\nExit status 0: workloads are served. 1: they are not, or the agent could not be asked. NO_COLOR in the environment turns colours off.",
    options: [{ name: "watch", description: "Shows it anew every two seconds until it is interrupted." }, ...ADMIN],
    examples: [
      {
        line: "holdfast-agent status -watch -socketPath /run/holdfast/admin.sock",
        does: "Follows an outage:",
      },
    ],
    load: () => import("./status.ts"),
  },
  healthcheckCommand("agent", WORKLOAD_OPTIONS, () => import("./healthcheck.ts")),
  {
    path: ["api", "fetch"],
    summary: "fetch this process's X.509-SVIDs",
    options: FETCH_OPTIONS,
    load: () => import("./api-fetch.ts"),
  },
  {
    path: ["api", "fetch", "x509"],
    summary: "fetch this process's X.509-SVIDs",
    options: FETCH_OPTIONS,
    examples: [
      {
        line: "holdfast-agent api fetch x509 -write /run/web",
        does: "Writes them as files for a program that reads files:",
      },
    ],
    load: () => import("./api-fetch.ts"),
  },
  {
    path: ["api", "fetch", "jwt"],
    summary: "fetch this process's JWT-SVIDs, and the bundles that verify them",
    options: [
      { ...AUDIENCE_OPTION, description: "Who will be shown the tokens; several with commas between." },
      { name: "spiffeID", value: "id", description: "Fetches only the token of this identity." },
      TIMEOUT_OPTION,
      ...WORKLOAD_OPTIONS,
      OUTPUT_OPTION,
    ],
    examples: [
      {
        line: "holdfast-agent api fetch jwt -audience db -output json",
        does: "The tokens and the JWT bundles as JSON:",
      },
    ],
    load: () => import("./api-fetch-jwt.ts"),
  },
  {
    path: ["api", "fetch", "wit"],
    summary: "fetch this process's WIT-SVIDs",
    description:
      "Prints tokens, and their private keys only with -write or -output json. Servers that sign no WIT-SVIDs, SPIRE's among them, make it fail with Unimplemented.",
    options: [
      { name: "spiffeID", value: "id", description: "Fetches only the WIT-SVID of this identity." },
      { name: "silent", description: "Prints nothing of the WIT-SVIDs." },
      {
        name: "write",
        value: "folder",
        description: "Writes tokens, and keys as private JWKs, as files into this folder.",
      },
      TIMEOUT_OPTION,
      ...WORKLOAD_OPTIONS,
      OUTPUT_OPTION,
    ],
    examples: [
      {
        line: "holdfast-agent api fetch wit -silent -write /run/web",
        does: "Writes them as files for a program that reads files:",
      },
    ],
    load: () => import("./api-fetch-wit.ts"),
  },
  {
    path: ["api", "validate", "jwt"],
    summary: "have the agent validate a JWT-SVID",
    description:
      "Exit status 0: the token is valid, and its claims are printed. 1: it is not, for the reason that is printed.",
    options: [
      { ...AUDIENCE_OPTION, value: "name", description: "Who was shown the token." },
      { name: "svid", value: "token", description: "The token; - reads it from standard input." },
      TIMEOUT_OPTION,
      ...WORKLOAD_OPTIONS,
      OUTPUT_OPTION,
    ],
    load: () => import("./api-validate-jwt.ts"),
  },
  {
    path: ["api", "watch"],
    summary: "print every update of this process's X.509-SVIDs",
    options: [...WORKLOAD_OPTIONS, OUTPUT_OPTION],
    load: () => import("./api-watch.ts"),
  },
  ...loggerCommands("agent", ADMIN, async () => (await import("./logger.ts")).AGENT_LOGGER),
  {
    path: ["debug", "getinfo"],
    summary: "tell how long the agent runs, what it keeps and how workloads trust it",
    options: ADMIN,
    load: async () => ({ run: (await import("./debug.ts")).getInfo }),
  },
];
