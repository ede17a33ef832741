/** Every scenario, in the table's order. */
import type { Scenario } from "../lib/scenario.ts";
import { attest } from "./attestation.ts";
import { badCallers } from "./bad-callers.ts";
import { calls, connect, connectMany } from "./connections.ts";
import { entries } from "./entries.ts";
import { federated } from "./federated.ts";
import { growthIdentities, growthStreams } from "./growth-agent.ts";
import { growthAgent, growthServer } from "./growth-server.ts";
import { identities } from "./identities.ts";
import { fetchJwt, validateJwt } from "./jwt.ts";
import { loopAgentSync, loopConnects, loopServerSync } from "./loop.ts";
import { loopTpm } from "./loop-tpm.ts";
import { outage } from "./outage.ts";
import { connectPath } from "./path.ts";
import { propagation } from "./propagation.ts";
import { quoteVerify } from "./quote-verify.ts";
import { sdsStreams } from "./sds-streams.ts";
import { batchSign, mint } from "./signing.ts";
import { serverMemory, starts } from "./start.ts";
import { reconnectStorm } from "./storm.ts";
import { streams } from "./streams.ts";
import { fullSync } from "./sync.ts";
import { tpmAttest, tpmSwtpm } from "./tpm-attestation.ts";

/** The bench's rows. */
export const SCENARIOS: readonly Scenario[] = [
  connect,
  connectPath,
  connectMany,
  calls,
  fetchJwt,
  validateJwt,
  streams,
  sdsStreams,
  identities,
  federated,
  reconnectStorm,
  propagation,
  batchSign,
  mint,
  attest,
  tpmAttest,
  tpmSwtpm,
  quoteVerify,
  entries,
  fullSync,
  outage,
  ...starts,
  serverMemory,
  loopConnects,
  loopAgentSync,
  loopServerSync,
  loopTpm,
  ...badCallers,
  growthServer,
  growthAgent,
  growthIdentities,
  growthStreams,
];
